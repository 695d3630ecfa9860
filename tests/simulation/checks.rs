//! What must hold, whatever happens: looked at with each message that a client hears, after each step, and at rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use pianorhythm_server::{
    protocol::{
        ids::ConnectionId,
        midi::Events,
        wire::{
            ClientMessage, Member, MidiMessage, client_message::Message, room_chat_message::MessageType,
            user_left_room::Reason,
        },
    },
    server::simulated::{ConnectionView, RoomView, Seated},
};

use crate::{
    client::{Asked, Client, Life, Stream, Visit, life},
    plan::{CLIENTS, Moderation, Setup},
    register::{Register, Registers},
    world::user_id,
};

/// What is known of all that was heard.
#[derive(Default)]
pub struct Checks {
    lives: BTreeMap<Life, LifeLog>,
    /// Connections that were told to close, and with what.
    must_close: BTreeMap<ConnectionId, &'static str>,
    /// Saved rooms whose making was acknowledged.
    pub saved: BTreeSet<String>,
    /// Lines of saved rooms that were acknowledged.
    pub lines: Vec<(String, String)>,
    /// What is kept of saved rooms.
    pub kept: Registers,
    /// Users of whom some ban was to be lifted at some time, and some mute.
    unbanned: BTreeSet<usize>,
    unmuted: BTreeSet<usize>,
    /// What clients were told to be muted: by whom, in which life of a room, who.
    muted: BTreeSet<(usize, Life, String)>,
    /// Kicks and bans that were asked for: of whom, and when they were answered.
    expelled: Vec<(usize, Option<usize>)>,
    /// Users who were logged out at some time.
    logged_out: BTreeSet<usize>,
    /// One more with each message that is heard.
    pub time: usize,
    /// Rooms may be so full that joins and leaves are gathered.
    pub has_crowds: bool,
    /// Rooms may spill.
    pub has_concerts: bool,
}

/// What is known of one room's life.
#[derive(Default)]
struct LifeLog {
    participants: BTreeMap<u32, ConnectionId>,
    /// What each message was, by participant and sequence.
    heard: BTreeMap<(u32, u32), u64>,
    /// The last message heard of each participant, by anybody.
    newest: BTreeMap<u32, u32>,
    /// Users whose ban was acknowledged in it.
    banned: BTreeSet<usize>,
}

type Checked = Result<(), String>;

impl Checks {
    pub fn new(setup: &Setup) -> Self {
        let (has_crowds, has_concerts) = (setup.crowd <= CLIENTS, setup.spill_after <= CLIENTS);
        Self { has_crowds, has_concerts, ..Self::default() }
    }

    /// A connection has become a member.
    pub fn seated(&mut self, seated: &Seated, user: usize) -> Checked {
        let log = self.lives.entry(life(seated.room)).or_default();
        let Seated { participant, connection, key, .. } = seated;
        if let Some(before) = log.participants.insert(participant.0, *connection) {
            return Err(format!("number {participant} of {key} was {before}'s and is given to {connection}"));
        }
        if log.banned.contains(&user) {
            return Err(format!("user {user} is banned from {key} and takes a seat there"));
        }
        Ok(())
    }

    /// Something is to be done to a user, in a room where that is certain. Its number among what is written.
    pub fn moderating(&mut self, how: Moderation, user: usize, room: Option<String>) -> Option<usize> {
        match how {
            Moderation::Kick | Moderation::Ban => self.expelled.push((user, None)),
            // Also before it is answered.
            Moderation::Unban => {
                self.lives.values_mut().for_each(|log| log.banned.retain(|banned| *banned != user));
                self.unbanned.insert(user);
            }
            Moderation::Unmute => {
                self.muted.retain(|(_, _, muted)| *muted != user_id(user));
                self.unmuted.insert(user);
            }
            Moderation::Mute | Moderation::Crown => {}
        }
        let (register, value) = match how {
            Moderation::Ban => (Register::Ban(user), "so"),
            Moderation::Unban => (Register::Ban(user), ""),
            Moderation::Mute => (Register::Mute(user), "so"),
            Moderation::Unmute => (Register::Mute(user), ""),
            Moderation::Kick | Moderation::Crown => return None,
        };
        Some(self.kept.ask(register, room, value.to_owned()))
    }

    /// These connections of a user were told to close.
    pub fn closing(&mut self, user: usize, connections: impl IntoIterator<Item = ConnectionId>) {
        self.logged_out.insert(user);
        self.must_close.extend(connections.into_iter().map(|connection| (connection, "a logout")));
    }

    /// The process has ended: rooms begin new lives.
    pub fn crashed(&mut self) {
        self.lives.clear();
        self.must_close.clear();
        self.muted.clear();
        self.expelled.clear();
    }

    /// A client hears a message.
    pub fn hear(&mut self, client: &mut Client, message: ClientMessage) -> Checked {
        let ClientMessage { message, request_id, .. } = message;
        let message = message.ok_or("a message without content")?;
        if client.closed.is_some() {
            return Err(format!("after its close came {message:?}"));
        }
        if client.is_welcome == matches!(message, Message::Welcome(_)) {
            return Err(format!("a welcome is first and once, and this is {message:?}"));
        }
        let asked = match request_id {
            Some(id) => Some(client.asked.remove(&id).ok_or_else(|| format!("a second answer to {id}: {message:?}"))?),
            None => None,
        };
        client.shared += u64::from(is_shared(&message));
        self.time += 1;
        if let Some(asked) = &asked {
            self.answered(client, asked, matches!(message, Message::Ack(_)));
        }
        match message {
            Message::Welcome(_) => client.is_welcome = true,
            Message::RoomJoinedResponse(joined) => {
                let seated = client.seats.pop_front().ok_or("it joined, and was given no seat")?;
                let info = joined.room_info.ok_or("a join without a room")?;
                if (seated.participant.0, seated.key.as_str()) != (joined.participant, info.room_id.as_str()) {
                    return Err(format!("it was seated as {seated:?} and told {}", joined.participant));
                }
                if let Some(Asked::Create) = asked {
                    self.saved.insert(info.room_id.clone());
                }
                let members: BTreeMap<u32, String> = joined.current_users.into_iter().filter_map(of_wire).collect();
                if !members.contains_key(&joined.participant) {
                    return Err("it is no member of the room that it joined".into());
                }
                client.visit = Some(Visit {
                    room: info.room_id,
                    life: life(seated.room),
                    me: joined.participant,
                    known: members.keys().copied().collect(),
                    gone: BTreeSet::new(),
                    members,
                    streams: BTreeMap::new(),
                    keys: BTreeSet::new(),
                    pedals: BTreeSet::new(),
                    unsilenced: BTreeSet::new(),
                    owner: info.owner_participant,
                });
            }
            Message::UserJoinedRoom(joined) => {
                let (participant, user) = joined.member.and_then(of_wire).ok_or("nobody joined")?;
                let visit = visit_of(client)?;
                if !visit.known.insert(participant) {
                    return Err(format!("participant {participant} of {} comes twice", visit.room));
                }
                visit.members.insert(participant, user);
                visit.streams.insert(participant, Stream { last: Some(0) });
            }
            Message::UserLeftRoom(left) => self.left(client, left.participant, left.reason())?,
            Message::MidiMessage(midi) => self.midi(client, &midi)?,
            Message::Gap(gap) => {
                let visit = visit_of(client)?;
                if !visit.known.contains(&gap.participant) && !self.has_crowds {
                    return Err(format!("a gap of a stranger, {}", gap.participant));
                }
                let stream = visit.streams.entry(gap.participant).or_default();
                let ended_with = gap.next_sequence.wrapping_sub(1);
                if stream.last.is_some_and(|last| last >= ended_with) {
                    return Err(format!("a gap before {} and {:?} was heard", gap.next_sequence, stream.last));
                }
                let missed = stream.last.map_or(1, |last| u64::from(ended_with - last));
                stream.last = Some(ended_with);
                visit.silence(gap.participant);
                visit.unsilenced.remove(&gap.participant);
                client.missed += missed;
                self.heard_of(client, gap.participant, ended_with);
            }
            Message::OwnerChanged(owner) => visit_of(client)?.owner = owner.participant,
            Message::RoomUpdated(updated) => {
                let info = updated.room_info.ok_or("an update without a room")?;
                visit_of(client)?.owner = info.owner_participant;
            }
            Message::UserUpdated(updated) => {
                let (participant, _) = updated.member.and_then(of_wire).ok_or("nobody was updated")?;
                if !visit_of(client)?.members.contains_key(&participant) && !self.has_crowds {
                    return Err(format!("an update of {participant}, who is not there"));
                }
            }
            Message::MembersChanged(changed) => {
                if !self.has_crowds {
                    return Err("no room is crowded".into());
                }
                let visit = visit_of(client)?;
                // Who came after them has them in the answer to its join.
                for (participant, user) in changed.joined.into_iter().filter_map(of_wire) {
                    visit.known.insert(participant);
                    visit.members.insert(participant, user);
                }
                for left in changed.left {
                    if visit_of(client)?.members.contains_key(&left.participant) {
                        self.left(client, left.participant, left.reason())?;
                    }
                }
            }
            Message::Ack(ack) => match asked {
                Some(Asked::Leave) => client.visit = None,
                Some(Asked::Chat(life)) => {
                    if let Some(visit) = client.visit.as_ref().filter(|visit| Some(visit.life) == life)
                        && self.saved.contains(&visit.room)
                    {
                        self.lines.push((visit.room.clone(), ack.message_id));
                    }
                }
                _ => {}
            },
            // Who has left a room for another that it then did not get into is told so.
            Message::ErrorMessage(error) if error.error_details.contains_key("left_room") => client.visit = None,
            _ => {}
        }
        Ok(())
    }

    /// What was asked for is done, or not.
    fn answered(&mut self, client: &Client, asked: &Asked, is_done: bool) {
        let (life, write) = match *asked {
            Asked::Write { write, life } => (life, Some(write)),
            Asked::Moderate { life, write, .. } => (life, write),
            _ => return,
        };
        let visit = client.visit.as_ref().filter(|visit| Some(visit.life) == life);
        if let Some(write) = write {
            let is_kept = visit.is_some_and(|visit| self.saved.contains(&visit.room));
            self.kept.answer(write, is_done && is_kept);
        }
        let Asked::Moderate { how, user, .. } = *asked else { return };
        if matches!(how, Moderation::Kick | Moderation::Ban)
            && let Some(open) = self.expelled.iter_mut().find(|(of, answered)| *of == user && answered.is_none())
        {
            open.1 = Some(self.time);
        }
        let Some(visit) = visit.filter(|_| is_done) else { return };
        if how == Moderation::Ban && !self.unbanned.contains(&user) {
            self.lives.entry(visit.life).or_default().banned.insert(user);
        }
        if how == Moderation::Mute && !self.unmuted.contains(&user) {
            self.muted.insert((client.number, visit.life, user_id(user)));
        }
    }

    fn left(&mut self, client: &mut Client, participant: u32, reason: Reason) -> Checked {
        let visit = visit_of(client)?;
        if visit.members.remove(&participant).is_none() {
            return Err(format!("{participant} left {} and was not there", visit.room));
        }
        visit.gone.insert(participant);
        if visit.sounds(participant) {
            visit.unsilenced.insert(participant);
        }
        if matches!(reason, Reason::Kicked | Reason::Banned) {
            let connection = self.lives.get(&visit.life).and_then(|log| log.participants.get(&participant));
            let connection = connection.ok_or_else(|| format!("nobody was number {participant}"))?;
            self.must_close.insert(*connection, "a kick or ban");
        }
        Ok(())
    }

    fn midi(&mut self, client: &mut Client, midi: &MidiMessage) -> Checked {
        let number = client.number;
        let visit = visit_of(client)?;
        let MidiMessage { participant, sequence, midi_data, .. } = midi;
        if *participant == visit.me {
            return Err("its own notes came back".into());
        }
        // Those of a crowd may play before the others are told that they are there.
        if !visit.members.contains_key(participant) && (!self.has_crowds || visit.gone.contains(participant)) {
            return Err(format!("notes of {participant}, who is not in {}", visit.room));
        }
        let stream = visit.streams.entry(*participant).or_default();
        if stream.last.is_some_and(|last| *sequence != last.wrapping_add(1)) {
            return Err(format!("after {:?} of {participant} in {} came {sequence}", stream.last, visit.room));
        }
        stream.last = Some(*sequence);
        let muted = visit.members.get(participant).map(|user| (number, visit.life, user.clone()));
        let is_muted = muted.is_some_and(|muted| self.muted.contains(&muted));
        for event in Events::parse(midi_data).map_err(|error| format!("notes that are none: {error}"))? {
            if is_muted && event.message.is_note_on() {
                return Err(format!("notes of {participant}, whom it was told to be muted in {}", visit.room));
            }
            visit.apply(*participant, event.message);
        }
        let mut hasher = DefaultHasher::new();
        midi_data.hash(&mut hasher);
        let log = self.lives.entry(visit.life).or_default();
        let hash = hasher.finish();
        if *log.heard.entry((*participant, *sequence)).or_insert(hash) != hash {
            return Err(format!("number {sequence} of {participant} was another message elsewhere"));
        }
        self.heard_of(client, *participant, *sequence);
        Ok(())
    }

    fn heard_of(&mut self, client: &Client, participant: u32, sequence: u32) {
        let Some(visit) = &client.visit else { return };
        let newest = self.lives.entry(visit.life).or_default().newest.entry(participant).or_default();
        *newest = sequence.max(*newest);
    }

    /// A close frame came.
    pub fn close(&self, client: &mut Client, code: u16, has_panics: bool) -> Checked {
        if let Some(before) = client.closed.replace(code) {
            return Err(format!("closed twice, with {before} and {code}"));
        }
        client.visit = None;
        match code {
            1000 if client.has_ended_itself => Ok(()),
            3003 if has_panics => Ok(()),
            // A branch took nothing in for too long.
            3001 if self.has_concerts => Ok(()),
            // A kick or ban that was answered before it came is not about it.
            3501 | 3502
                if self
                    .expelled
                    .iter()
                    .any(|(user, answered)| *user == client.user && answered.is_none_or(|at| client.born <= at)) =>
            {
                Ok(())
            }
            3503 if self.logged_out.contains(&client.user) => Ok(()),
            // Idle, too slow, too many refusals.
            3002 | 3008 | 3506 => Ok(()),
            _ => Err(format!("closed with {code}, for which there is no reason")),
        }
    }

    /// The server's end is gone.
    pub fn end(client: &mut Client) -> Checked {
        client.visit = None;
        if client.closed.is_none() && !client.has_ended_itself && !client.has_lagged {
            return Err("its socket ended without a close".into());
        }
        Ok(())
    }

    /// After each step: a connection is in one place.
    pub fn places(
        clients: &[Client],
        admitted: &BTreeSet<ConnectionId>,
        views: &[Vec<ConnectionView>],
        moving: u64,
    ) -> Checked {
        let mut places = BTreeMap::new();
        for (shard, view) in views.iter().enumerate() {
            for connection in view {
                if let Some(other) = places.insert(connection.id, shard) {
                    return Err(format!("{} is on shard {other} and on shard {shard}", connection.id));
                }
            }
        }
        let is_missing = |client: &&Client| {
            admitted.contains(&client.connection) && !places.contains_key(&client.connection) && !client.is_hung_up()
        };
        let missing: Vec<_> = clients.iter().filter(is_missing).map(|client| client.connection).collect();
        if missing.len() as u64 > moving {
            return Err(format!("{moving} move, and these are nowhere: {missing:?}"));
        }
        Ok(())
    }

    /// At rest: who is in which room is the same for all who are in it, what sounds is held, and what was told to close is closed.
    pub fn rest(&self, clients: &[Client], rooms: &[RoomView], users: impl Fn(usize) -> String) -> Checked {
        let rooms: BTreeMap<Life, &RoomView> = rooms.iter().map(|room| (life(room.id), room)).collect();
        let by_connection: BTreeMap<ConnectionId, &Client> =
            clients.iter().map(|client| (client.connection, client)).collect();
        for client in clients.iter().filter(|client| client.is_open()) {
            let at = |what: String| Err(format!("client {}: {what}", client.number));
            if !client.asked.is_empty() {
                return at(format!("no answer to {:?}", client.asked));
            }
            let Some(visit) = &client.visit else { continue };
            let Some(room) = rooms.get(&visit.life) else { return at(format!("{} is no more", visit.room)) };
            let members: Vec<u32> = room.members.iter().map(|(participant, _)| participant.0).collect();
            if !visit.members.keys().eq(members.iter()) {
                return at(format!("it knows {:?} in {} and there are {members:?}", visit.members, visit.room));
            }
            // One that is away keeps the crown for a while, and is none of the members.
            let is_owner_known = match room.owner_participant {
                0 => !visit.members.contains_key(&visit.owner),
                owner => visit.owner == owner,
            };
            if !is_owner_known {
                let (known, owner) = (visit.owner, room.owner_participant);
                return at(format!("it knows {known} as the owner of {}, who is {owner}", visit.room));
            }
            if let Some(left) = visit.unsilenced.first() {
                return at(format!("{left} has left {} and sounds on", visit.room));
            }
            let log = self.lives.get(&visit.life);
            let holder = |participant: u32| {
                let connection = log.and_then(|log| log.participants.get(&participant))?;
                by_connection.get(connection).copied()
            };
            for &(participant, channel, key) in &visit.keys {
                let player = holder(participant);
                if !player.is_some_and(|player| player.is_open() && player.keys.contains(&(channel, key))) {
                    return at(format!("key {key} of {participant} sounds in {} and is not held", visit.room));
                }
            }
            for &(participant, channel, pedal) in &visit.pedals {
                let player = holder(participant);
                if !player.is_some_and(|player| player.is_open() && player.pedals.contains(&(channel, pedal))) {
                    return at(format!("pedal {pedal} of {participant} is down in {} and is not held", visit.room));
                }
            }
            for (participant, stream) in &visit.streams {
                let newest = log.and_then(|log| log.newest.get(participant)).copied().unwrap_or(0);
                if visit.members.contains_key(participant) && stream.last.is_some_and(|last| last != newest) {
                    return at(format!("of {participant} it knows {:?}, and others {newest}", stream.last));
                }
            }
            if let Some((_, user)) = visit.members.iter().find(|(participant, _)| **participant == visit.me)
                && *user != users(client.user)
            {
                return at(format!("it is {user} there"));
            }
        }
        for (connection, why) in &self.must_close {
            let client = by_connection.get(connection).copied();
            if client.is_some_and(Client::is_open) {
                return Err(format!("{connection} was to be closed by {why}, and is open"));
            }
        }
        Ok(())
    }

    /// When crowns have had their time: each room with members has its owner among them.
    pub fn owners(rooms: &[RoomView]) -> Checked {
        for room in rooms {
            // Who comes into somebody's empty room does not take it over, where it is a saved one.
            let is_right = match (room.has_owner, room.is_saved) {
                (false, _) => room.owner.is_empty(),
                (true, false) => room.owner_participant != 0,
                (true, true) => !room.owner.is_empty(),
            };
            if !room.members.is_empty() && !is_right {
                return Err(format!("{} has members and its owner is {:?}", room.key, room.owner));
            }
        }
        Ok(())
    }

    /// Nothing sounds.
    pub fn silence(clients: &[Client]) -> Checked {
        for client in clients {
            let Some(visit) = &client.visit else { continue };
            if let Some(sounding) = visit.keys.first().or(visit.pedals.first()) {
                return Err(format!("client {}: {sounding:?} sounds in {} at the end", client.number, visit.room));
            }
        }
        Ok(())
    }
}

/// Nobody is without an owner, where its kind has one, from its first member on.
pub fn has_owner(room: &RoomView) -> bool {
    !room.has_owner || room.members.is_empty() || !room.owner.is_empty()
}

/// What goes to all members of a room, and is counted as it does.
fn is_shared(message: &Message) -> bool {
    match message {
        Message::RoomChatMessage(line) => line.message_type() != MessageType::System,
        Message::MidiMessage(_)
        | Message::AvatarCommand(_)
        | Message::UserJoinedRoom(_)
        | Message::UserLeftRoom(_)
        | Message::UserUpdated(_)
        | Message::RoomUpdated(_)
        | Message::OwnerChanged(_)
        | Message::MembersChanged(_)
        | Message::RoomClosed(_) => true,
        _ => false,
    }
}

fn visit_of(client: &mut Client) -> Result<&mut Visit, String> {
    client.visit.as_mut().ok_or_else(|| "it hears of a room and is in none".to_owned())
}

fn of_wire(member: Member) -> Option<(u32, String)> {
    Some((member.participant, member.user?.user_id))
}

impl Visit {
    fn sounds(&self, participant: u32) -> bool {
        self.keys.iter().chain(&self.pedals).any(|(of, _, _)| *of == participant)
    }

    fn silence(&mut self, participant: u32) {
        self.keys.retain(|(of, _, _)| *of != participant);
        self.pedals.retain(|(of, _, _)| *of != participant);
    }

    fn apply(&mut self, participant: u32, message: pianorhythm_server::protocol::midi::ChannelMessage) {
        let (channel, [first, second]) = (message.channel(), message.data());
        if message.is_note_on() {
            self.keys.insert((participant, channel, first));
        } else if message.is_note_off() {
            self.keys.remove(&(participant, channel, first));
        } else if message.is_all_notes_off() {
            self.keys.retain(|(of, on, _)| (*of, *on) != (participant, channel));
        } else if message.is_control(64) || message.is_control(66) {
            if second >= 64 {
                self.pedals.insert((participant, channel, first));
            } else {
                self.pedals.remove(&(participant, channel, first));
            }
        }
    }
}
