//! A disk that is soon full: a small file system in memory, in place of a folder. Only root may mount one, or `sudo` that asks for no password.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Gone when dropped, with all that is on it.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Over a folder that is there. Nothing when this user may not mount one.
    #[must_use]
    pub fn mount(folder: &Path, megabytes: usize) -> Option<Self> {
        let options = format!("size={megabytes}m,mode=777");
        let mounted = as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &folder.display().to_string()]);
        mounted.then(|| Self(folder.to_owned()))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes every byte that is left.
    ///
    /// # Errors
    /// When nothing can be written for another reason.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.filler())?;
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![0_u8; size]).is_err() {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Gives them back.
    ///
    /// # Errors
    /// When it was not full.
    pub fn free(&self) -> io::Result<()> {
        std::fs::remove_file(self.filler())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy", &self.0.display().to_string()]);
    }
}

/// Says whether it could be done.
fn as_root(words: &[&str]) -> bool {
    let done = |program: &str, words: &[&str]| Command::new(program).args(words).output().is_ok_and(|output| output.status.success());
    let Some((program, rest)) = words.split_first() else { return false };
    done(program, rest) || done("sudo", &[&["-n"], words].concat())
}
