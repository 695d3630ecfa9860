//! New accounts.
//!
//! A guest who registers goes on as who it was: the account has the guest's id, and with it whatever was the guest's: its
//! rooms, its crown, and what speaks against it. The guest's tokens are worth nothing from then on.

use tracing::info;

use crate::{
    domain::{
        identity::{Role, Status},
        name, password,
    },
    http::{
        accounts::{Accounts, ClientInfo, LoggedIn, REGISTERING, chance, store_rejection},
        auth::{Claims, guest},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::people::{Credential, NewAccount, Proof, User, Users as _},
};

/// What somebody registers with, as typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The name.
    pub username: String,
    /// The e-mail address; none where an operator knows of none.
    pub email: Option<String>,
    /// The password.
    pub password: String,
    /// The roles; an account that somebody makes for itself is a member's.
    pub roles: Vec<Role>,
}

impl Accounts {
    /// Makes an account and logs it in. `guest` is the guest that it was until now.
    pub async fn register(
        &self,
        wish: Registration,
        guest: Option<&Claims>,
        client: &ClientInfo,
        now: Timestamp,
    ) -> Result<LoggedIn, Rejection> {
        let user = self.make_account(wish, guest, now).await?;
        self.open_session(user, false, client, now).await
    }

    /// Makes an account.
    ///
    /// Both documents of it are written one after the other. A server that ends in between leaves nothing that is in the
    /// way of another try: not even the guest's, who may try again.
    pub async fn make_account(
        &self,
        wish: Registration,
        guest: Option<&Claims>,
        now: Timestamp,
    ) -> Result<User, Rejection> {
        let of = |field: &'static str| move |rejection: Rejection| rejection.with("field", field);
        let username = name::account_name(&wish.username).map_err(of("username"))?;
        let email = wish.email.as_deref().map(name::email).transpose().map_err(of("email"))?;
        let password = password::chosen(&wish.password, &username, email.as_deref())?;
        // What is taken already is told before a password is hashed for it.
        self.refuse_taken(&username, email.as_deref()).await?;
        let hash = self.passwords.hash(password).await?;

        let id = match guest {
            Some(guest) => UserId::from(guest.sub.as_str()),
            None => guest::account_id(chance()?),
        };
        let [tag, colour] = [chance()?, chance()?].map(u64::from_le_bytes);
        let user = User {
            id: id.clone(),
            username,
            usertag: format!("{:04}", tag % 10_000),
            email,
            email_verified: false,
            roles: wish.roles,
            pro_until: None,
            colour: guest.and_then(|guest| guest.colour.clone()).unwrap_or_else(|| guest::colour(colour)),
            about: String::new(),
            avatar: None,
            status: Status::Online,
            created: now,
            last_seen: now,
        };
        let credential = Credential { user_id: id.clone(), proof: Proof::Password { hash }, since: now };
        let account = NewAccount { user, credential };
        let lane = id.as_str().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let written = {
            let _alone = self.registering[lane % REGISTERING].lock().await;
            self.people.register(&account).await
        };
        match written {
            Ok(()) => {}
            // Between our look and our write.
            Err(crate::store::StoreError::Taken { what: "id" }) => {
                return Err(Rejection::new(ErrorCode::AlreadyRegistered, "this guest has an account: log in"));
            }
            Err(error) => return Err(store_rejection(error)),
        }
        info!(user = %id, was_guest = guest.is_some(), "account made");
        Ok(account.user)
    }

    async fn refuse_taken(&self, username: &str, email: Option<&str>) -> Result<(), Rejection> {
        use crate::store::StoreError::Taken;
        if self.people.user_by_name(username).await.map_err(store_rejection)?.is_some() {
            return Err(store_rejection(Taken { what: "by_name" }));
        }
        if let Some(email) = email
            && self.people.user_by_email(email).await.map_err(store_rejection)?.is_some()
        {
            return Err(store_rejection(Taken { what: "by_email" }));
        }
        Ok(())
    }
}
