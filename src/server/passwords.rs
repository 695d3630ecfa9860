//! Password hashing: argon2id on blocking threads, a bounded number at a time.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::protocol::error::{ErrorCode, Rejection};

/// Hashes under way at once: each takes 19 MiB and tens of milliseconds of a core (OWASP's argon2id parameters, which
/// are the library's default).
const AT_ONCE: usize = 2;
/// Hashes that may wait; past it the request is refused.
const WAITING: usize = 256;

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Passwords {
    /// Hashes a password, with a fresh salt, to a PHC string.
    pub async fn hash(&self, password: String) -> Result<String, Rejection> {
        self.run(move || hasher().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| failed()))
            .await
    }

    /// Whether a password fits a hash.
    pub async fn check(&self, password: String, hash: String) -> Result<bool, Rejection> {
        self.run(move || {
            let parsed = PasswordHash::new(&hash).map_err(|_| failed())?;
            Ok(hasher().verify_password(password.as_bytes(), &parsed).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Rejection> {
        let Ok(_admitted) = self.admitted.try_acquire() else {
            let message = "too many passwords wait to be checked: try again in a moment";
            return Err(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 2000));
        };
        let Ok(_running) = self.running.acquire().await else { return Err(failed()) };
        #[cfg(feature = "simulation")]
        if crate::server::simulated::processor_time().is_some() {
            return work();
        }
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(failed()))
    }
}

fn hasher() -> Argon2<'static> {
    #[cfg(feature = "simulation")]
    if crate::server::simulated::processor_time().is_some() {
        return argon2::Params::new(8, 1, 1, None).map(Argon2::from).unwrap_or_default();
    }
    Argon2::default()
}

fn failed() -> Rejection {
    Rejection::new(ErrorCode::Server, "the password could not be checked; this is a defect of the server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("fugue".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.check("fugue".into(), hash.clone()).await.unwrap());
        assert!(!passwords.check("Fugue".into(), hash).await.unwrap());
        assert!(passwords.check("fugue".into(), "nonsense".into()).await.is_err());
    }
}
