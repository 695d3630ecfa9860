//! A user's actor: where each of its connections is, so that what is meant for them arrives, and once.
//!
//! It lives on the user's shard. A connection tells it of each move with a rising epoch; what could not be delivered comes
//! back to it and is sent again when the connection has said where it went. Messages may overtake each other on
//! their ways over different shards, so nothing here relies on their order. Pure: effects are returned.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    actor::{
        actor::{Activation, Actor, Handled},
        context::{Activating, Context},
    },
    domain::identity::{Profile, Status},
    protocol::{
        ids::{ConnectionId, UserId},
        time::Timestamp,
        wire::ClientMessage,
    },
    server::{
        message::{Action, UserMessage},
        stage::Stage,
    },
};

/// How long the end of a connection is remembered, against news of it that were overtaken.
const TOMBSTONE: Duration = Duration::from_secs(30);
/// How long a user without connections is remembered; longer than anything it is remembered for. A flood of guests that come and go
/// leaves as many users behind as it brings in this time, or twice this time: an idle actor may be looked at so late.
pub const REMEMBERED: Duration = Duration::from_secs(35);
/// How long an action waits for a connection that is between two shards.
const UNDELIVERED: Duration = Duration::from_secs(30);

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    shard: usize,
    epoch: u32,
}

/// An action to be sent to a connection on a shard.
#[derive(Debug, PartialEq)]
pub struct Delivery {
    /// Where it was last.
    pub shard: usize,
    /// Which connection.
    pub connection: ConnectionId,
    /// What it is to do.
    pub action: Action,
}

/// One user, over all its connections.
#[derive(Debug, Default)]
pub struct User {
    /// In order, so that what goes to each goes in the same order every time.
    connections: BTreeMap<ConnectionId, Place>,
    ended: HashMap<ConnectionId, Timestamp>,
    undelivered: Vec<(Timestamp, ConnectionId, Action)>,
}

impl User {
    /// A connection is on a shard now. Returns what waited for it.
    pub fn locate(&mut self, connection: ConnectionId, shard: usize, epoch: u32) -> Vec<Delivery> {
        if self.ended.contains_key(&connection) {
            return Vec::new();
        }
        let place = self.connections.entry(connection).or_insert(Place { shard, epoch });
        if place.epoch > epoch {
            return Vec::new();
        }
        *place = Place { shard, epoch };
        let waiting = std::mem::take(&mut self.undelivered);
        let (due, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, of, _)| *of == connection);
        self.undelivered = rest;
        due.into_iter().map(|(_, connection, action)| Delivery { shard, connection, action }).collect()
    }

    /// A connection has ended.
    pub fn end(&mut self, connection: ConnectionId, now: Timestamp) {
        self.connections.remove(&connection);
        self.undelivered.retain(|(_, of, _)| *of != connection);
        self.ended.insert(connection, now);
    }

    /// What to send so that each connection does this.
    pub fn each(&self, action: &Action) -> Vec<Delivery> {
        let deliver = |(&connection, place): (&ConnectionId, &Place)| Delivery {
            shard: place.shard,
            connection,
            action: action.clone(),
        };
        self.connections.iter().map(deliver).collect()
    }

    /// An action reached no connection on the shard it was sent to: send it on, or keep it until the connection has arrived.
    pub fn undelivered(
        &mut self,
        connection: ConnectionId,
        tried: usize,
        action: Action,
        now: Timestamp,
    ) -> Option<Delivery> {
        match self.connections.get(&connection) {
            Some(place) if place.shard != tried => Some(Delivery { shard: place.shard, connection, action }),
            // It is on its way, and will say where it is.
            Some(_) => {
                self.undelivered.push((now, connection, action));
                None
            }
            None => None,
        }
    }

    /// Forgets what is too old.
    pub fn sweep(&mut self, now: Timestamp) {
        self.ended.retain(|_, at| now.since(*at) < TOMBSTONE);
        self.undelivered.retain(|(at, _, _)| now.since(*at) < UNDELIVERED);
    }

    /// The connection has not ended, as far as is known.
    pub fn knows(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Where a connection was last.
    pub fn shard_of(&self, connection: ConnectionId) -> Option<usize> {
        self.connections.get(&connection).map(|place| place.shard)
    }

    /// Its connections.
    #[cfg(feature = "simulation")]
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.keys().copied()
    }

    /// How many connections it has.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }
}

/// A virtual actor: it lives from the first news of a connection until none is left, and as long again as the ends of its
/// connections are worth remembering; its kind's idle time is longer than that.
impl Actor for User {
    const KIND: &'static str = "user";

    type World = Stage;
    type Key = UserId;
    type Message = UserMessage;
    /// How many connections were closed.
    type Reply = usize;
    type Error = std::convert::Infallible;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self::default())
    }

    fn handle(&mut self, message: UserMessage, cx: &mut Context<'_, Self>) -> Handled<Self::Error> {
        let now = cx.world.clock.now();
        self.sweep(now);
        let deliveries = match message {
            UserMessage::Located { connection, shard, epoch, from } => {
                if let Some(from) = from {
                    cx.world.acknowledge_move(from, connection, epoch);
                }
                self.locate(connection, shard, epoch)
            }
            UserMessage::Ended { connection } => {
                self.end(connection, now);
                Vec::new()
            }
            UserMessage::Undelivered { connection, tried, action } => {
                if !self.knows(connection) && matches!(action, Action::Deliver(_)) {
                    cx.world.figures.answers_lost.add(1);
                }
                self.undelivered(connection, tried, action, now).into_iter().collect()
            }
            UserMessage::Change { change, reply } => {
                let mut due = self.each(&Action::Change(change));
                if reply.request_id.is_some() {
                    due.push(Delivery {
                        shard: self.shard_of(reply.connection).unwrap_or(reply.shard),
                        connection: reply.connection,
                        action: Action::Deliver(Box::new(ClientMessage::ack(reply.request_id))),
                    });
                }
                due
            }
            UserMessage::Close { code } => {
                let due = self.each(&Action::Close(code));
                cx.reply(due.len());
                due
            }
        };
        if let Some(user) = cx.key() {
            for Delivery { shard, connection, action } in deliveries {
                cx.world.send_action(shard, connection, user.clone(), action);
            }
        }
        Ok(())
    }

    fn may_retire(&self) -> bool {
        self.connections.is_empty()
    }
}

/// What a user changes about itself; an absent part stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileChange {
    /// A checked name.
    pub username: Option<String>,
    /// A checked colour.
    pub colour: Option<String>,
    /// A status.
    pub status: Option<Status>,
}

impl ProfileChange {
    /// Makes the change.
    pub fn apply(&self, profile: &mut Profile) {
        if let Some(username) = &self.username {
            profile.username.clone_from(username);
        }
        if let Some(colour) = &self.colour {
            profile.colour.clone_from(colour);
        }
        if let Some(status) = self.status {
            profile.status = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::close::CloseCode;

    const NOW: Timestamp = Timestamp::from_ms(9_000);
    const ONE: ConnectionId = ConnectionId(1);
    const KICK: Action = Action::Close(CloseCode::Kicked);

    fn to(shard: usize) -> Delivery {
        Delivery { shard, connection: ONE, action: KICK }
    }

    #[test]
    fn the_newest_epoch_wins_in_whatever_order_the_news_come() {
        let mut user = User::default();
        user.locate(ONE, 2, 1);
        user.locate(ONE, 0, 0);
        assert_eq!(user.each(&KICK), [to(2)]);
    }

    #[test]
    fn what_misses_a_moving_connection_reaches_it_where_it_arrives() {
        let mut user = User::default();
        user.locate(ONE, 0, 0);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), None);
        assert_eq!(user.locate(ONE, 2, 1), [to(2)]);
        assert_eq!(user.locate(ONE, 1, 2), [], "once");
    }

    #[test]
    fn what_misses_a_connection_that_has_said_where_it_is_goes_there() {
        let mut user = User::default();
        user.locate(ONE, 2, 1);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), Some(to(2)));
    }

    #[test]
    fn an_ended_connection_does_not_come_back_by_late_news() {
        let mut user = User::default();
        user.end(ONE, NOW);
        user.locate(ONE, 0, 0);
        assert_eq!(user.connections(), 0);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), None);
        user.sweep(NOW);
        user.locate(ONE, 0, 0);
        assert_eq!(user.connections(), 0);
        user.sweep(NOW + TOMBSTONE);
        user.locate(ONE, 0, 0);
        assert_eq!(user.connections(), 1, "numbers are not used twice; this is to see that it was forgotten");
    }
}
