//! Roles, as operators give and take them. Each is a line of the audit log.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use tracing::info;

use crate::{
    domain::identity::Role,
    http::accounts::{Accounts, Registration, chance, store_rejection},
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::{
        document::Verdict,
        people::{Audit as _, AuditEntry, User, Users as _},
    },
};

/// What is to become of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The account is to have it.
    Give(Role),
    /// The account is not to have it.
    Take(Role),
}

impl Grant {
    fn apply(self, roles: &mut Vec<Role>) {
        match self {
            Self::Give(role) => roles.push(role),
            Self::Take(role) => roles.retain(|had| *had != role),
        }
        // Who has an account is a member, whatever else.
        roles.push(Role::Member);
        roles.sort_unstable();
        roles.dedup();
    }
}

impl Accounts {
    /// Gives an account a role, or takes it; `name` is the account's name or its id. What the account is then, whether it was
    /// that before or not. An operator does it: nobody is asked whether they may.
    pub async fn grant(&self, name: &str, grant: Grant, now: Timestamp) -> Result<User, Rejection> {
        if let Grant::Give(Role::Guest) | Grant::Take(Role::Guest | Role::Member) = grant {
            let message = "who has an account is a member and no guest: that is neither given nor taken";
            return Err(Rejection::new(ErrorCode::Validation, message).with("field", "role"));
        }
        let user = self.find_account(name).await?;
        let changed = self.people.change_user(&user.id, |user| {
            let before = user.roles.clone();
            grant.apply(&mut user.roles);
            match grant {
                // Until it is taken.
                Grant::Give(Role::Pro) => user.pro_until = None,
                _ if user.roles == before => return Verdict::Leave(user.clone()),
                _ => {}
            }
            Verdict::Keep(user.clone())
        });
        let user = changed.await.map_err(store_rejection)?.ok_or_else(|| unknown(name))?;
        let (action, role) = match grant {
            Grant::Give(role) => ("role.grant", role),
            Grant::Take(role) => ("role.revoke", role),
        };
        self.note_operation(action, &user.id, [("role", role.as_str())], now).await?;
        info!(user = %user.id, action, role = role.as_str(), "an operator changed an account's roles");
        Ok(user)
    }

    /// Makes an account for somebody.
    pub async fn create(&self, wish: Registration, now: Timestamp) -> Result<User, Rejection> {
        let mut wish = wish;
        wish.roles.retain(|role| *role != Role::Guest);
        Grant::Give(Role::Member).apply(&mut wish.roles);
        let user = self.make_account(wish, None, now).await?;
        self.note_operation("account.create", &user.id, [("username", &user.username)], now).await?;
        Ok(user)
    }

    /// The account of this name or id.
    pub async fn find_account(&self, name: &str) -> Result<User, Rejection> {
        let found = match self.people.user_by_name(name).await.map_err(store_rejection)? {
            Some(found) => Some(found),
            None => self.people.user(&UserId::from(name)).await.map_err(store_rejection)?,
        };
        found.map(|kept| kept.document).ok_or_else(|| unknown(name))
    }

    /// Writes to the audit log what an operator has done.
    pub async fn note_operation<const N: usize>(
        &self,
        action: &str,
        target: &UserId,
        details: [(&str, &str); N],
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let entry = AuditEntry {
            id: BASE64.encode(chance::<16>()?),
            time: now,
            actor: None,
            actor_name: "operator".into(),
            address: None,
            action: action.into(),
            target: Some(target.as_str().into()),
            details: BTreeMap::from(details.map(|(name, value)| (name.into(), value.into()))),
        };
        self.people.record_action(&entry).await.map_err(store_rejection)
    }
}

fn unknown(name: &str) -> Rejection {
    Rejection::new(ErrorCode::UserNotFound, format!("there is no account `{name}`"))
}
