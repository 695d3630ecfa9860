//! A user's actor: where each of its connections is, so that what is meant for them arrives, and once.
//!
//! It lives on the user's shard. A connection tells it of each move with a rising epoch; what could not be delivered comes
//! back to it and is sent again when the connection has said where it went. Messages may overtake each other on
//! their ways over different shards, so nothing here relies on their order. Pure: effects are returned.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use crate::{
    actor::{
        actor::{Activation, Actor, Handled},
        context::{Activating, Context},
    },
    domain::identity::{Profile, Role, Status},
    protocol::{
        close::CloseCode,
        ids::{ConnectionId, UserId},
        time::Timestamp,
        wire::ClientMessage,
    },
    server::{
        message::{Action, UserMessage, Which},
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
/// How long it is remembered which connections were closed, against one of them that was let in before and arrives after.
const CLOSED: Duration = Duration::from_secs(30);
/// The most closings that are remembered; the oldest go first.
const MAX_CLOSED: usize = 32;

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
    /// Which of its connections were closed lately, and with what.
    closed: VecDeque<(Timestamp, Which, CloseCode)>,
}

impl User {
    /// A connection is on a shard now. Returns what waited for it.
    pub fn locate(&mut self, connection: ConnectionId, shard: usize, epoch: u32, now: Timestamp) -> Vec<Delivery> {
        if self.ended.contains_key(&connection) {
            return Vec::new();
        }
        let is_new = !self.connections.contains_key(&connection);
        let place = self.connections.entry(connection).or_insert(Place { shard, epoch });
        if place.epoch > epoch {
            return Vec::new();
        }
        *place = Place { shard, epoch };
        if is_new {
            let closings = self.closed.iter().filter(|(at, ..)| now.since(*at) < CLOSED);
            let actions = closings.map(|(_, which, code)| Action::CloseIf(which.clone(), *code));
            return actions.map(|action| Delivery { shard, connection, action }).collect();
        }
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

    /// What to send so that those connections close, of those that are here. Those that arrive later are told then.
    pub fn close_some(&mut self, which: Which, code: CloseCode, now: Timestamp) -> Vec<Delivery> {
        let due = self.each(&Action::CloseIf(which.clone(), code));
        self.closed.retain(|(_, known, _)| *known != which);
        if self.closed.len() == MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back((now, which, code));
        due
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
        self.closed.retain(|(at, ..)| now.since(*at) < CLOSED);
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
                self.locate(connection, shard, epoch, now)
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
            UserMessage::CloseSome { which, code } => {
                let due = self.close_some(which, code, now);
                cx.reply(due.len());
                due
            }
            UserMessage::SetRoles(roles) => {
                let change = ProfileChange { roles: Some(roles), ..ProfileChange::default() };
                self.each(&Action::Change(change))
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
    /// Roles, which are not for the user to change, and not for those of its connections that came as a guest.
    pub roles: Option<Vec<Role>>,
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
        if let Some(roles) = self.roles.as_ref().filter(|_| !profile.is_guest()) {
            profile.roles.clone_from(roles);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(9_000);
    const ONE: ConnectionId = ConnectionId(1);
    const KICK: Action = Action::Close(CloseCode::Kicked);

    fn to(shard: usize) -> Delivery {
        Delivery { shard, connection: ONE, action: KICK }
    }

    #[test]
    fn the_newest_epoch_wins_in_whatever_order_the_news_come() {
        let mut user = User::default();
        user.locate(ONE, 2, 1, NOW);
        user.locate(ONE, 0, 0, NOW);
        assert_eq!(user.each(&KICK), [to(2)]);
    }

    #[test]
    fn what_misses_a_moving_connection_reaches_it_where_it_arrives() {
        let mut user = User::default();
        user.locate(ONE, 0, 0, NOW);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), None);
        assert_eq!(user.locate(ONE, 2, 1, NOW), [to(2)]);
        assert_eq!(user.locate(ONE, 1, 2, NOW), [], "once");
    }

    #[test]
    fn what_misses_a_connection_that_has_said_where_it_is_goes_there() {
        let mut user = User::default();
        user.locate(ONE, 2, 1, NOW);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), Some(to(2)));
    }

    #[test]
    fn an_ended_connection_does_not_come_back_by_late_news() {
        let mut user = User::default();
        user.end(ONE, NOW);
        user.locate(ONE, 0, 0, NOW);
        assert_eq!(user.connections(), 0);
        assert_eq!(user.undelivered(ONE, 0, KICK, NOW), None);
        user.sweep(NOW);
        user.locate(ONE, 0, 0, NOW);
        assert_eq!(user.connections(), 0);
        user.sweep(NOW + TOMBSTONE);
        user.locate(ONE, 0, 0, NOW);
        assert_eq!(user.connections(), 1, "numbers are not used twice; this is to see that it was forgotten");
    }

    #[test]
    fn a_connection_of_a_log_in_that_has_ended_is_told_so_when_it_arrives_and_others_are_asked_too() {
        let (mut user, which) = (User::default(), Which::OfSession("s1".into()));
        let close = |shard, connection| Delivery {
            shard,
            connection,
            action: Action::CloseIf(which.clone(), CloseCode::Unauthorised),
        };
        user.locate(ONE, 2, 0, NOW);
        assert_eq!(user.close_some(which.clone(), CloseCode::Unauthorised, NOW), [close(2, ONE)]);
        let two = ConnectionId(2);
        assert_eq!(user.locate(two, 1, 0, NOW + CLOSED / 2), [close(1, two)]);
        assert_eq!(user.locate(two, 0, 1, NOW + CLOSED / 2), [], "once");
        user.sweep(NOW + CLOSED);
        assert_eq!(user.locate(ConnectionId(3), 1, 0, NOW + CLOSED), []);
        for n in 0..2 * MAX_CLOSED {
            user.close_some(Which::OfSession(format!("s{n}").into()), CloseCode::Unauthorised, NOW);
        }
        assert_eq!(user.closed.len(), MAX_CLOSED);
        const { assert!(CLOSED.as_millis() < REMEMBERED.as_millis(), "a user is remembered for as long") };
    }

    #[test]
    fn roles_are_for_connections_of_the_account_alone() {
        let profile = |role| Profile {
            user_id: "u1".into(),
            username: "Anna".into(),
            usertag: String::new(),
            roles: vec![role],
            colour: "#aabbcc".into(),
            status: Status::Online,
        };
        let change = ProfileChange { roles: Some(vec![Role::Member, Role::Pro]), ..ProfileChange::default() };
        let (mut member, mut guest) = (profile(Role::Member), profile(Role::Guest));
        change.apply(&mut member);
        change.apply(&mut guest);
        assert_eq!((member.roles, guest.roles), (vec![Role::Member, Role::Pro], vec![Role::Guest]));
    }
}
