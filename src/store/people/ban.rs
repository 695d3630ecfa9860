//! Bans from the whole server, of users and of networks.

use std::{future::Future, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index, Query},
        document::{self, Document, DocumentPage, PageWish, Verdict},
        key,
    },
};

const BY_SUBJECT: &str = "by_subject";
const BY_TIME: &str = "by_time";

pub(super) static COLLECTION: Collection = Collection {
    name: "bans",
    indexes: &[Index { name: BY_SUBJECT, is_unique: false }, Index { name: BY_TIME, is_unique: false }],
};

/// The sizes of networks that may be banned: each is a look-up more for an address.
const V4_PREFIXES: [u8; 3] = [32, 24, 16];
const V6_PREFIXES: [u8; 4] = [128, 64, 56, 48];

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerBan {
    /// Its id, by chance.
    pub id: String,
    /// Of whom, or from where.
    pub subject: Subject,
    /// The name that the user had, or what tells moderators who it is about.
    #[serde(default)]
    pub name: String,
    /// Who banned.
    pub by: UserId,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// When it ends; none: when it is lifted.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// When it was lifted, and by whom.
    #[serde(default)]
    pub lifted: Option<(Timestamp, UserId)>,
}

/// What is kept out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A user.
    User(UserId),
    /// A network, of a size that [`Subject::network`] makes.
    Network(IpNet),
}

impl Subject {
    /// The least network that may be banned and holds this one, its address cut to it.
    pub fn network(network: IpNet) -> Self {
        Self::Network(match network {
            IpNet::V4(net) => {
                let prefix = V4_PREFIXES.into_iter().find(|prefix| *prefix <= net.prefix_len()).unwrap_or(16);
                Ipv4Net::new_assert(net.addr(), prefix).trunc().into()
            }
            IpNet::V6(net) => {
                let prefix = V6_PREFIXES.into_iter().find(|prefix| *prefix <= net.prefix_len()).unwrap_or(48);
                Ipv6Net::new_assert(net.addr(), prefix).trunc().into()
            }
        })
    }

    /// The networks that a ban of this address may name.
    fn networks_of(address: IpAddr) -> Vec<IpNet> {
        match address.to_canonical() {
            IpAddr::V4(address) => V4_PREFIXES.map(|prefix| Ipv4Net::new_assert(address, prefix).trunc().into()).into(),
            IpAddr::V6(address) => V6_PREFIXES.map(|prefix| Ipv6Net::new_assert(address, prefix).trunc().into()).into(),
        }
    }

    fn parts(&self) -> [String; 2] {
        match self {
            Self::User(user) => ["user".into(), user.as_str().into()],
            Self::Network(network) => ["network".into(), network.to_string()],
        }
    }
}

impl ServerBan {
    /// Whether it keeps out at a moment.
    pub fn binds(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && self.until.is_none_or(|until| now < until)
    }
}

impl Document for ServerBan {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        let [kind, what] = self.subject.parts();
        // Those without an end, and those that end last, stand behind; the lifted ones nowhere.
        let end = key::time(self.until.unwrap_or(Timestamp::from_us(u64::MAX)));
        vec![self.lifted.is_none().then(|| key::key(&[&kind, &what, &end])), Some(key::key(&[&key::time(self.since)]))]
    }
}

/// What is done with bans.
pub trait Bans: Collections {
    /// Keeps a ban; repeated with the same, it is done.
    fn ban(&self, ban: &ServerBan) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { document::insert(self, ban).await.map(drop) }
    }

    /// Lifts a ban, and gives it back; none where it did not bind any more.
    fn lift(
        &self,
        id: &str,
        by: &UserId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<ServerBan>, StoreError>> + Send {
        async move {
            let lifted = document::change(self, id, |ban: &mut ServerBan| {
                if !ban.binds(now) {
                    return Verdict::Leave(None);
                }
                ban.lifted = Some((now, by.clone()));
                Verdict::Keep(Some(ban.clone()))
            });
            Ok(lifted.await?.flatten())
        }
    }

    /// The ban that binds a user at a moment; the one that ends last, of several.
    fn ban_of_user(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<ServerBan>, StoreError>> + Send {
        async move { last_ban(self, &Subject::User(user.clone()), now).await }
    }

    /// The ban that binds an address at a moment.
    fn ban_of_address(
        &self,
        address: IpAddr,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<ServerBan>, StoreError>> + Send {
        async move {
            for network in Subject::networks_of(address) {
                if let Some(ban) = last_ban(self, &Subject::Network(network), now).await? {
                    return Ok(Some(ban));
                }
            }
            Ok(None)
        }
    }

    /// All bans, those that are over too, newest first.
    fn bans(&self, wish: PageWish) -> impl Future<Output = Result<DocumentPage<ServerBan>, StoreError>> + Send {
        document::page(self, Some(BY_TIME), &[], wish, true)
    }
}

impl<S: Collections + ?Sized> Bans for S {}

async fn last_ban(
    store: &(impl Collections + ?Sized),
    subject: &Subject,
    now: Timestamp,
) -> Result<Option<ServerBan>, StoreError> {
    let [kind, what] = subject.parts();
    let (from, until) = key::range(&[&kind, &what]);
    let query = Query { index: Some(BY_SUBJECT), from, until, descending: true, ..Query::default() };
    let page = document::page_between::<ServerBan>(store, query, PageWish::first(1)).await?;
    Ok(page.documents.into_iter().find(|ban| ban.binds(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_banned_by_the_size_next_above_and_its_addresses_are_found_by_it() {
        for (network, banned) in [
            ("192.0.2.7/32", "192.0.2.7/32"),
            ("192.0.2.7/28", "192.0.2.0/24"),
            ("192.0.2.7/8", "192.0.0.0/16"),
            ("2001:db8:1:2:3::/80", "2001:db8:1:2::/64"),
            ("2001:db8::1/20", "2001:db8::/48"),
        ] {
            let network: IpNet = network.parse().unwrap();
            let subject = Subject::network(network);
            assert_eq!(subject, Subject::Network(banned.parse().unwrap()));
            assert!(Subject::networks_of(network.addr()).into_iter().any(|net| Subject::Network(net) == subject));
        }
        let mapped = Subject::networks_of("::ffff:192.0.2.7".parse().unwrap());
        assert!(mapped.contains(&"192.0.2.7/32".parse().unwrap()));
    }
}
