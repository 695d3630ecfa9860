//! Seats: a place is reserved before a connection leaves its room and its shard, and taken when it arrives.

use std::net::IpAddr;

use crate::{
    domain::{
        chat::ChatLine,
        identity::Profile,
        quota::CarriedQuota,
        room::{
            Ban, Effect, Room,
            members::{Instrument, Member, UserState},
            network,
            shared::Shared,
        },
    },
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::{ConnectionId, Participant},
        time::Timestamp,
        wire::{self, client_message::Message},
    },
};

/// What a request to enter knows of the room's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordProof {
    /// It brought none.
    Absent,
    /// It brought one that nobody has compared yet.
    Unverified,
    /// It brought one that fits this hash.
    Verified {
        /// The hash it was compared with.
        hash: String,
    },
}

/// Somebody who wants to enter.
#[derive(Clone, Debug)]
pub struct SeatRequest<'a> {
    /// On which socket.
    pub connection: ConnectionId,
    /// Who.
    pub profile: &'a Profile,
    /// From where.
    pub address: IpAddr,
    /// With what.
    pub proof: PasswordProof,
}

/// A request to enter that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatOutcome {
    /// The seat is held until then.
    Held {
        /// When it is given up.
        until: Timestamp,
    },
    /// Nothing is held: compare the password with this hash off the shard, then ask again with
    /// [`PasswordProof::Verified`], or answer `WRONG_PASSWORD`.
    NeedsPassword {
        /// The room's present hash.
        hash: String,
    },
}

/// A seat that is not there any more when its connection arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatLost {
    /// It was never held, was cancelled, or its time ran out: ask again.
    Expired,
    /// Its user was kicked or banned meanwhile: close the connection.
    Closed(CloseCode),
}

/// A place held for a connection that is on its way.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) connection: ConnectionId,
    pub(super) profile: Profile,
    pub(super) address: IpAddr,
    pub(super) until: Timestamp,
    /// Its user was kicked or banned: it takes no place and closes whoever arrives.
    pub(super) lost: Option<CloseCode>,
}

impl Room {
    /// Holds a seat for a connection, in place of one it may hold already. Refuses those banned, guests where they may not
    /// enter, those too many, and a missing password, in this order.
    pub fn reserve(&mut self, request: SeatRequest<'_>, now: Timestamp) -> Result<SeatOutcome, Rejection> {
        let SeatRequest { connection, profile, address, proof } = request;
        if self.members.iter().any(|member| member.connection == connection) {
            return Err(Rejection::new(ErrorCode::AlreadyInRoom, "you are in that room already"));
        }
        self.refuse_banned(profile, address, now)?;
        if profile.is_guest() && !self.settings.allow_guests {
            let message = "this room takes no guests: log in, or choose another room";
            return Err(Rejection::new(ErrorCode::GuestsNotAllowed, message));
        }
        let others = self.seats.iter().filter(|seat| seat.connection != connection);
        let held = others.filter(|seat| seat.lost.is_none() && seat.until > now).count();
        let capacity = self.settings.max_users;
        if self.members.len() + held >= capacity as usize {
            let message = "the room is full: try later, or choose another room";
            return Err(Rejection::new(ErrorCode::RoomFull, message).with("max_users", capacity));
        }
        if let Some(hash) = &self.password_hash {
            match proof {
                PasswordProof::Verified { hash: proven } if proven == *hash => {}
                PasswordProof::Unverified | PasswordProof::Verified { .. } => {
                    return Ok(SeatOutcome::NeedsPassword { hash: hash.clone() });
                }
                PasswordProof::Absent => {
                    return Err(Rejection::new(ErrorCode::PasswordRequired, "this room asks for a password"));
                }
            }
        }
        let until = now + self.limits.seat_hold;
        self.seats.retain(|seat| seat.connection != connection);
        self.seats.push(Shared::new(Seat { connection, profile: profile.clone(), address, until, lost: None }));
        self.wake(Some(until));
        Ok(SeatOutcome::Held { until })
    }

    /// Gives up the seat of a connection that will not come.
    pub fn cancel_seat(&mut self, connection: ConnectionId) {
        self.seats.retain(|seat| seat.connection != connection);
        self.wake(self.retires_at());
    }

    /// Makes a connection that has arrived a member. To it: `RoomJoinedResponse` (the answer to `request_id`), the chat's
    /// history, the welcome message; then the others are told. `carried` is the note quota it brings along: where the user
    /// is here already, the emptier one counts for both.
    pub fn take_seat(
        &mut self,
        connection: ConnectionId,
        request_id: Option<u32>,
        carried: CarriedQuota,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<Participant, SeatLost> {
        let at = self.seats.iter().position(|seat| seat.connection == connection).ok_or(SeatLost::Expired)?;
        let seat = self.seats.swap_remove(at);
        self.wake(self.retires_at());
        if let Some(code) = seat.lost {
            return Err(SeatLost::Closed(code));
        }
        if seat.until <= now {
            return Err(SeatLost::Expired);
        }
        self.last_participant += 1;
        let participant = Participant(self.last_participant);
        let user = self.enter_user(&seat.profile, carried, now);
        let is_first_tab = self.users[user].members == 1;
        let (is_guest, user_id) = (seat.profile.is_guest(), seat.profile.user_id.clone());
        self.members.push(Member {
            participant,
            connection,
            profile: seat.profile.clone(),
            address: seat.address,
            user,
            is_guest,
            heard_at: now,
            is_pinged: false,
            held: Default::default(),
            instrument: Instrument::default(),
            sequence: 0,
            played_until_ms: 0,
            refused: 0,
            refused_told_at: None,
            forbidden_told_at: None,
        });
        (self.empty_since, self.last_used) = (None, now);
        self.wake(self.resave_at());
        let crowned = self.crown_on_arrival(&user_id, is_first_tab, now, fx);
        if !is_guest {
            self.adopt(&user_id, now, fx);
        }
        self.greet(participant, request_id, now, fx);
        self.announce_arrival(participant, now, fx);
        if crowned {
            self.announce_owner(Some(participant), fx);
        }
        fx.push(Effect::Listed);
        Ok(participant)
    }

    fn enter_user(&mut self, profile: &Profile, carried: CarriedQuota, now: Timestamp) -> usize {
        let rate = *self.limits.quotas.rate(self.kind, self.settings.note_quota, profile.is_guest());
        if let Some(at) = self.users.position(|user| user.members > 0 && user.user_id == profile.user_id) {
            let user = &mut self.users[at];
            user.members += 1;
            user.bucket = user.bucket.leaner(carried.0, &rate, now);
            return at;
        }
        let mute = self.mutes.iter().find(|mute| mute.user_id == profile.user_id);
        let state = UserState {
            user_id: profile.user_id.clone(),
            members: 1,
            bucket: carried.0,
            notes_muted: mute.is_some_and(|mute| mute.notes),
            chat_muted: mute.is_some_and(|mute| mute.chat),
        };
        match self.users.position(|user| user.members == 0) {
            Some(at) => {
                self.users[at] = state;
                at
            }
            None => {
                self.users.push(state);
                self.users.len() - 1
            }
        }
    }

    fn greet(&self, to: Participant, request_id: Option<u32>, now: Timestamp, fx: &mut Vec<Effect>) {
        let (current_users, more_users) = self.roster_for(to);
        let response = wire::RoomJoinedResponse {
            success: true,
            room_info: Some(self.info()),
            current_users,
            error_message: String::new(),
            participant: to.0,
            more_users,
        };
        fx.push(Effect::Send { to, request_id, message: Message::RoomJoinedResponse(response) });
        for history in self.history.to_wire() {
            fx.push(Effect::Send { to, request_id: None, message: Message::ChatHistory(history) });
        }
        if !self.settings.welcome_message.is_empty() {
            self.tell(to, self.settings.welcome_message.clone(), now, fx);
        }
    }

    /// A line of the system to one member alone.
    pub(super) fn tell(&self, to: Participant, text: impl Into<String>, now: Timestamp, fx: &mut Vec<Effect>) {
        let line = ChatLine::system(text, now.as_ms()).to_wire();
        fx.push(Effect::Send { to, request_id: None, message: Message::RoomChatMessage(line) });
    }

    fn refuse_banned(&self, profile: &Profile, address: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        let address = network(address);
        let binds = |ban: &&Ban| {
            ban.until.is_none_or(|until| until > now)
                && (ban.user_id == profile.user_id || ban.networks.contains(&address))
        };
        let Some(ban) = self.bans.iter().find(binds) else { return Ok(()) };
        let mut rejection = Rejection::new(ErrorCode::Banned, "you are banned from this room");
        if !ban.reason.is_empty() {
            rejection = rejection.with("reason", &ban.reason);
        }
        if let Some(until) = ban.until {
            rejection = rejection.with("until_ms", until.as_ms());
        }
        Err(rejection)
    }
}
