//! The contract of what is kept about people, in an empty store each.

// The cases' names are their sentences.
#![allow(missing_docs)]

mod accounts;
mod belongings;
mod company;
mod order;

use std::{sync::LazyLock, time::Duration};

pub use crate::store::contract::people::{accounts::*, belongings::*, company::*, order::*};
use crate::{
    domain::identity::{Role, Status},
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        contract::documents::NOW,
        document::{DocumentPage, PageWish},
        people::{Credential, LoginSession, NewAccount, Proof, User},
    },
};

/// Makes one test of each case of the contract of people's documents, on stores from the function of this path.
#[macro_export]
macro_rules! people_contract {
    ($factory:path) => {
        $crate::people_contract! { @cases $factory:
            an_account_is_found_by_id_name_and_address_however_they_are_spelt
            two_accounts_have_neither_a_name_nor_an_address_in_common
            of_many_who_register_one_name_at_once_one_has_it
            a_registration_that_was_refused_leaves_the_identity_free
            changes_of_one_account_at_once_are_all_kept
            accounts_are_listed_by_the_beginnings_of_their_names
            a_name_that_reads_like_an_operator_finds_nobody_else
            a_password_is_changed_by_who_knows_the_one_before
            an_identity_at_a_provider_is_one_users
            a_refresh_token_is_good_once_and_a_spent_one_ends_the_log_in
            of_many_who_use_a_refresh_token_at_once_one_is_given_the_next
            a_log_in_ends_by_logout_by_its_time_and_with_all_others_of_its_user
            log_ins_whose_time_is_over_are_forgotten
            friends_ask_accept_decline_and_remove
            requests_that_cross_make_a_friendship
            a_block_ends_everything_and_keeps_the_other_from_asking
            friends_are_listed_in_pages_from_both_sides
            private_messages_wait_in_order_until_they_are_delivered
            a_conversation_is_told_newest_first_to_both
            preferences_of_any_name_come_back_and_the_last_write_wins
            a_picture_comes_back_and_goes
            a_ban_binds_its_user_or_network_until_it_ends_or_is_lifted
            reports_go_from_state_to_state_and_are_closed_for_good
            the_audit_log_tells_newest_first_by_actor_and_target
            server_settings_are_set_listed_and_unset
            what_is_a_users_can_be_given_to_it_without_what_proves_who_it_is
            an_account_is_erased_with_what_is_its_own_and_nothing_else
        }
    };
    (@cases $factory:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            use $crate::store::contract::Given as _;
            let Some((store, _kept)) = $factory().await.given() else { return };
            $crate::store::contract::people::$case(&store).await;
        })*
    };
}

pub fn id(name: &str) -> UserId {
    name.into()
}

/// A plain account.
pub fn user(name: &str) -> User {
    User {
        id: id(name),
        username: name.to_uppercase(),
        usertag: String::new(),
        email: Some(format!("{name}@Example.org")),
        email_verified: false,
        roles: vec![Role::Member],
        pro_until: None,
        colour: "#aabbcc".into(),
        about: "plays „Träumerei“ 🎹".into(),
        avatar: None,
        status: Status::Online,
        created: NOW,
        last_seen: NOW,
    }
}

fn password(user: &str, hash: &str) -> Credential {
    Credential { user_id: id(user), proof: Proof::Password { hash: hash.into() }, since: NOW }
}

fn identity(user: &str, subject: &str) -> Credential {
    let proof = Proof::Provider { provider: "discord".into(), subject: subject.into() };
    Credential { user_id: id(user), proof, since: NOW }
}

fn account(name: &str) -> NewAccount {
    NewAccount { user: user(name), credential: password(name, "hash") }
}

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn session(name: &str, of: &str, until: Timestamp) -> LoginSession {
    LoginSession {
        id: name.into(),
        user_id: id(of),
        token: format!("{name} 0"),
        spent: Vec::new(),
        since: NOW,
        refreshed: NOW,
        until,
        remember: true,
        client: "a browser".into(),
        address: Some("2001:db8::7".parse().unwrap()),
        revoked: None,
    }
}

/// All pages of a list, of this size each.
async fn all<T, F>(size: usize, mut page: impl FnMut(PageWish) -> F) -> Vec<T>
where
    F: Future<Output = Result<DocumentPage<T>, StoreError>>,
{
    let (mut found, mut wish) = (Vec::new(), PageWish::first(size));
    loop {
        let next = page(wish).await.unwrap();
        assert!(next.documents.len() <= size);
        found.extend(next.documents);
        if next.next.is_none() {
            return found;
        }
        wish = PageWish { after: next.next, limit: size };
    }
}

static CLARA: LazyLock<UserId> = LazyLock::new(|| id("clara"));
static ROBERT: LazyLock<UserId> = LazyLock::new(|| id("robert"));
