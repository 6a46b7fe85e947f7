//! One number for everything that a run left behind: SHA-256 over every export as it is told. Two runs of one seed have the same, in any
//! process; a run that differs in one fact has another. What stands in which order is the export's affair: a fact's fields are in the order
//! of their struct, the facts in the order of their number, the services in the order of their names.

use sha2::{Digest as _, Sha256};

use crate::target::{Target, TargetError};

/// The digest of a system as its audit exports show it, in 64 hexadecimal digits.
pub async fn of_target(target: &dyn Target) -> Result<String, TargetError> {
    let mut names = target.collections().await?;
    names.sort_unstable();
    let mut digest = Sha256::new();
    for name in names {
        digest.update(format!("{name}\n"));
        digest.update(target.export(&name).await?);
    }
    Ok(hex::encode(digest.finalize()))
}
