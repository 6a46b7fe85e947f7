//! Why there is no answer: whether somebody else's patience mends it, a person's hand, or ours.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError as Said, ExecutionError, MetadataError, NewSessionError,
    PrepareError, RequestAttemptError,
};

use super::Server;
use crate::db::DbError;

#[derive(Clone, Debug, thiserror::Error)]
pub enum CassandraError {
    #[error("Cassandra at {at} cannot answer now: {reason}")]
    Away { at: String, reason: String },
    /// A conditional write may have been applied.
    #[error("Cassandra at {at} did not say whether it has written: {reason}")]
    Unknown { at: String, reason: String },
    /// A person has to mend that: a password, a right, tables of a newer version.
    #[error("Cassandra at {at} cannot be used: {reason}")]
    Closed { at: String, reason: String },
    /// A statement that it does not take: a mistake of ours.
    #[error("Cassandra at {at} refuses: {reason}")]
    Refused { at: String, statement: String, reason: String },
}

impl From<CassandraError> for DbError {
    fn from(error: CassandraError) -> Self {
        match error {
            CassandraError::Refused { ref statement, .. } => Self::Statement { statement: statement.clone(), source: error.into() },
            other => Self::Unavailable(other.to_string()),
        }
    }
}

pub(super) fn of_session(server: &Server, error: &NewSessionError) -> CassandraError {
    let at = server.at();
    let pool = match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken { last_connection_error })) => {
            Some(last_connection_error)
        }
        _ => None,
    };
    if let Some(ConnectionError::ConnectionSetupRequestError(setup)) = pool
        && matches!(
            setup.error,
            ConnectionSetupRequestErrorKind::DbError(Said::AuthenticationError | Said::Unauthorized, _)
                | ConnectionSetupRequestErrorKind::MissingAuthentication
        )
    {
        return CassandraError::Closed { at, reason: "it does not know this user and password".into() };
    }
    CassandraError::Away { at, reason: crate::with_causes(error) }
}

pub(super) fn of_statement(server: &Server, cql: &str, is_conditional: bool, error: &ExecutionError) -> CassandraError {
    let (at, reason) = (server.at(), crate::with_causes(error));
    let said = match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(said, _))
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(said, _), .. }) => {
            Some(said)
        }
        _ => None,
    };
    match (error, said) {
        (_, Some(Said::Unauthorized | Said::AuthenticationError | Said::ConfigError)) => CassandraError::Closed { at, reason },
        (_, Some(Said::SyntaxError | Said::Invalid | Said::ProtocolError | Said::AlreadyExists { .. }))
        | (ExecutionError::BadQuery(_), _) => CassandraError::Refused { at, statement: cql.to_owned(), reason },
        // It was not sent, or nobody took it.
        (
            ExecutionError::EmptyPlan
            | ExecutionError::PrepareError(_)
            | ExecutionError::ConnectionPoolError(_)
            | ExecutionError::MetadataError(_)
            | ExecutionError::UseKeyspaceError(_),
            _,
        )
        | (_, Some(Said::Unavailable { .. } | Said::Overloaded | Said::IsBootstrapping)) => CassandraError::Away { at, reason },
        _ if is_conditional => CassandraError::Unknown { at, reason },
        _ => CassandraError::Away { at, reason },
    }
}
