//! What happens in a room, in words and as JSON, a line each; pure.

use std::collections::BTreeMap;

use pianorhythm_client::protocol::{
    midi::{ChannelMessage, Events, MessageKind},
    time::Timestamp,
    wire::{
        ClientMessage, Member, MidiMessage, RoomInfo, RoomType, UserLeftRoom, client_message::Message,
        user_left_room::Reason,
    },
};
use serde_json::{Value, json};

use crate::place::name_of;

/// Turns events to lines. Follows who is in the room, so that lines carry names.
#[derive(Debug)]
pub struct Narrator {
    since: Timestamp,
    names: BTreeMap<u32, String>,
}

impl Narrator {
    /// One that counts the time from this moment.
    pub fn new(since: Timestamp) -> Self {
        Self { since, names: BTreeMap::new() }
    }

    /// Learns who somebody is.
    pub fn meet(&mut self, member: &Member) {
        self.names.insert(member.participant, name_of(member).to_owned());
    }

    /// The event in words: no line, or one, or one a MIDI event. Each begins with the time in seconds; that of a MIDI
    /// event is when it is due.
    pub fn tell(&mut self, message: &Message, at: Timestamp) -> Vec<String> {
        if let Message::MidiMessage(midi) = message {
            let name = self.name(midi.participant);
            let events = timed_events(midi).map(|(due, event)| self.line(due, &format!("{name}  {}", in_words(event))));
            return events.collect();
        }
        let lines = self.words(message);
        self.learn(message);
        lines.into_iter().map(|words| self.line(at, &words)).collect()
    }

    /// The event as JSON: one object, or one a MIDI event. Each has `at_ms` (server time, that of a MIDI event is when it
    /// is due) and `type`; MIDI events then have their fields (`channel` counts from 0, as on the wire), all others
    /// `message`: the message in the protocol's JSON.
    pub fn tell_json(&mut self, message: &Message, at: Timestamp) -> Vec<Value> {
        if let Message::MidiMessage(midi) = message {
            let name = self.names.get(&midi.participant).cloned().unwrap_or_default();
            let events = timed_events(midi).map(|(due, event)| {
                let mut line = json!({ "at_ms": due.as_ms(), "participant": midi.participant, "name": name });
                let fields = line.as_object_mut().expect("just made one");
                fields.append(in_json(event).as_object_mut().expect("always one"));
                line
            });
            return events.collect();
        }
        self.learn(message);
        // The message's family is the one member that is neither its number nor the answer's.
        let whole = serde_json::to_value(ClientMessage::event(message.clone())).unwrap_or_default();
        let members = whole.as_object().into_iter().flatten();
        let family = members.into_iter().find(|(name, _)| !matches!(&name[..], "messageType" | "requestId"));
        let lines = family.map(|(family, message)| json!({ "at_ms": at.as_ms(), "type": family, "message": message }));
        lines.into_iter().collect()
    }

    fn line(&self, at: Timestamp, words: &str) -> String {
        // What is said in a room is said by strangers: a terminal shall not obey it.
        let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{:9.3}  {words}", at.since(self.since).as_secs_f64())
    }

    fn name(&self, participant: u32) -> String {
        format!("{} ({participant})", self.names.get(&participant).map_or("?", |name| name))
    }

    fn learn(&mut self, message: &Message) {
        match message {
            Message::RoomJoinedResponse(joined) => joined.current_users.iter().for_each(|member| self.meet(member)),
            Message::UserJoinedRoom(joined) => joined.member.iter().for_each(|member| self.meet(member)),
            Message::UserUpdated(updated) => updated.member.iter().for_each(|member| self.meet(member)),
            Message::UserLeftRoom(left) => _ = self.names.remove(&left.participant),
            Message::MembersChanged(changed) => {
                changed.joined.iter().for_each(|member| self.meet(member));
                for left in &changed.left {
                    self.names.remove(&left.participant);
                }
            }
            _ => {}
        }
    }

    fn words(&self, message: &Message) -> Vec<String> {
        let one = match message {
            Message::RoomChatMessage(line) => {
                let name = if line.username.is_empty() { "*" } else { &line.username };
                format!("<{name}> {}", line.message)
            }
            Message::ChatHistory(history) => {
                let lines =
                    history.messages.iter().map(|line| format!("(before) <{}> {}", line.username, line.message));
                return lines.collect();
            }
            Message::RoomJoinedResponse(joined) => {
                let info = joined.room_info.as_ref().map_or(String::new(), room);
                format!("in {info} as participant {}", joined.participant)
            }
            Message::UserJoinedRoom(joined) => return joined.member.iter().map(arrival).collect(),
            Message::UserLeftRoom(left) => self.departure(left),
            Message::MembersChanged(changed) => {
                let left = changed.left.iter().map(|left| self.departure(left));
                return changed.joined.iter().map(arrival).chain(left).collect();
            }
            Message::UserUpdated(updated) => {
                let Some(member) = &updated.member else { return Vec::new() };
                self.update(member)
            }
            Message::RoomUpdated(updated) => {
                format!("the room is now {}", updated.room_info.as_ref().map_or(String::new(), room))
            }
            Message::OwnerChanged(owner) if owner.participant == 0 => "the room has no owner now".into(),
            Message::OwnerChanged(owner) => format!("{} owns the room now", self.name(owner.participant)),
            Message::RoomClosed(closed) => format!("the room is closed: {}", closed.reason),
            Message::QuotaExceeded(quota) => format!("{} of our notes were refused", quota.refused),
            Message::Gap(gap) => format!("some notes of {} did not reach us", self.name(gap.participant)),
            Message::ErrorMessage(error) => format!("error: {} ({})", error.error_message, error.error_code),
            _ => return Vec::new(),
        };
        vec![one]
    }

    fn update(&self, member: &Member) -> String {
        let before = self.name(member.participant);
        let mut words = match name_of(member) {
            name if self.names.get(&member.participant).is_some_and(|known| known == name) => {
                format!("{before} changed")
            }
            name => format!("{before} is {name} now"),
        };
        for (muted, what) in [(member.notes_muted, "notes"), (member.chat_muted, "chat")] {
            if muted {
                words.push_str(&format!(", {what} muted"));
            }
        }
        words
    }

    fn departure(&self, left: &UserLeftRoom) -> String {
        let why = match left.reason() {
            Reason::Left => "left",
            Reason::Disconnected => "lost the connection",
            Reason::Kicked => "was kicked",
            Reason::Banned => "was banned",
            Reason::TooSlow => "was too slow",
            Reason::ServerError => "was lost to an error of the server",
        };
        format!("{} {why}", self.name(left.participant))
    }
}

fn arrival(member: &Member) -> String {
    format!("{} ({}) joined", name_of(member), member.participant)
}

fn room(room: &RoomInfo) -> String {
    let kind = match room.room_type() {
        RoomType::Lobby => "the lobby",
        RoomType::Public => "the public room",
        RoomType::Private => "the private room",
        RoomType::Pro => "the pro room",
    };
    let seats = room.settings.as_ref().and_then(|settings| settings.max_users);
    let seats = seats.map_or(String::new(), |seats| format!(" of {seats}"));
    format!("{kind} \"{}\", {}{seats} there", room.room_name, room.user_count)
}

/// The events of a message with the moments they are due; none where it is not MIDI.
fn timed_events(midi: &MidiMessage) -> impl Iterator<Item = (Timestamp, ChannelMessage)> + '_ {
    let mut due_ms = u64::try_from(midi.timestamp).unwrap_or(0);
    Events::parse(&midi.midi_data).into_iter().flatten().map(move |event| {
        due_ms = due_ms.saturating_add(event.delta_ms.into());
        (Timestamp::from_ms(due_ms), event.message)
    })
}

/// A key's name: 60 is C4, as on most instruments.
pub fn note_name(key: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    format!("{}{}", NAMES[usize::from(key % 12)], i16::from(key / 12) - 1)
}

fn bend(message: ChannelMessage) -> u16 {
    let [low, high] = message.data();
    u16::from(high) << 7 | u16::from(low)
}

fn in_words(message: ChannelMessage) -> String {
    let [first, second] = message.data();
    let words = match message.kind() {
        MessageKind::NoteOn if second > 0 => format!("on   {:<4} velocity {second}", note_name(first)),
        MessageKind::NoteOn | MessageKind::NoteOff => format!("off  {:<4}", note_name(first)),
        MessageKind::PolyPressure => format!("pressure {second} on {}", note_name(first)),
        MessageKind::Control => match first {
            64 => format!("sustain pedal {second}"),
            66 => format!("sostenuto pedal {second}"),
            67 => format!("soft pedal {second}"),
            120 => "all sound off".into(),
            123 => "all notes off".into(),
            _ => format!("controller {first} to {second}"),
        },
        MessageKind::Program => format!("program {}", first + 1),
        MessageKind::ChannelPressure => format!("pressure {first}"),
        MessageKind::PitchBend => format!("pitch bend {:+}", i32::from(bend(message)) - 8192),
    };
    format!("{words:<22}  channel {}", message.channel() + 1)
}

fn in_json(message: ChannelMessage) -> Value {
    let [first, second] = message.data();
    let channel = message.channel();
    let note = || note_name(first);
    match message.kind() {
        MessageKind::NoteOn if second > 0 => {
            json!({ "type": "note_on", "channel": channel, "key": first, "note": note(), "velocity": second })
        }
        MessageKind::NoteOn | MessageKind::NoteOff => {
            json!({ "type": "note_off", "channel": channel, "key": first, "note": note(), "velocity": second })
        }
        MessageKind::PolyPressure => {
            json!({ "type": "poly_pressure", "channel": channel, "key": first, "note": note(), "pressure": second })
        }
        MessageKind::Control => json!({ "type": "control", "channel": channel, "controller": first, "value": second }),
        MessageKind::Program => json!({ "type": "program", "channel": channel, "program": first }),
        MessageKind::ChannelPressure => json!({ "type": "channel_pressure", "channel": channel, "pressure": first }),
        MessageKind::PitchBend => json!({ "type": "pitch_bend", "channel": channel, "value": bend(message) }),
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_client::protocol::{
        midi::MidiWriter,
        wire::{RoomChatMessage, User, UserJoinedRoom, UserUpdated},
    };

    use super::*;

    fn narrator() -> Narrator {
        Narrator::new(Timestamp::from_ms(10_000))
    }

    fn member(participant: u32, name: &str) -> Option<Member> {
        let user = Some(User { username: name.into(), ..User::default() });
        Some(Member { participant, user, ..Member::default() })
    }

    fn tell(narrator: &mut Narrator, message: Message) -> Vec<String> {
        narrator.tell(&message, Timestamp::from_ms(12_500))
    }

    #[test]
    fn people_are_named_as_they_come_change_and_go() {
        let mut narrator = narrator();
        let joined = Message::UserJoinedRoom(UserJoinedRoom { member: member(2, "Ann") });
        assert_eq!(tell(&mut narrator, joined), ["    2.500  Ann (2) joined"]);
        let renamed = Message::UserUpdated(UserUpdated { member: member(2, "Anna") });
        assert_eq!(tell(&mut narrator, renamed), ["    2.500  Ann (2) is Anna now"]);
        let left = UserLeftRoom { participant: 2, reason: Reason::Kicked.into() };
        assert_eq!(tell(&mut narrator, Message::UserLeftRoom(left)), ["    2.500  Anna (2) was kicked"]);
        let left = UserLeftRoom { participant: 2, reason: Reason::Left.into() };
        assert_eq!(tell(&mut narrator, Message::UserLeftRoom(left)), ["    2.500  ? (2) left"]);
    }

    fn chord() -> Message {
        let mut notes = MidiWriter::new();
        notes.push(0, ChannelMessage::note_on(0, 61, 90)).unwrap();
        notes.push(250, ChannelMessage::note_on(0, 61, 0)).unwrap();
        Message::MidiMessage(MidiMessage {
            midi_data: notes.into_bytes(),
            timestamp: 11_000,
            participant: 2,
            ..MidiMessage::default()
        })
    }

    #[test]
    fn each_midi_event_is_a_line_at_the_time_it_is_due() {
        let mut narrator = narrator();
        narrator.meet(&member(2, "Ann").unwrap());
        let lines = tell(&mut narrator, chord());
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "    1.000  Ann (2)  on   C#4  velocity 90   channel 1");
        assert_eq!(lines[1], "    1.250  Ann (2)  off  C#4                channel 1");
    }

    #[test]
    fn json_has_the_fields_of_midi_events_and_the_messages_of_the_rest() {
        let mut narrator = narrator();
        narrator.meet(&member(2, "Ann").unwrap());
        let lines = narrator.tell_json(&chord(), Timestamp::from_ms(12_500));
        assert_eq!(
            lines[1],
            json!({ "at_ms": 11_250, "participant": 2, "name": "Ann", "type": "note_off", "channel": 0, "key": 61,
                    "note": "C#4", "velocity": 0 })
        );
        let chat = Message::RoomChatMessage(RoomChatMessage { message: "hi".into(), ..RoomChatMessage::default() });
        let lines = narrator.tell_json(&chat, Timestamp::from_ms(12_500));
        assert_eq!((&lines[0]["at_ms"], &lines[0]["type"]), (&json!(12_500), &json!("roomChatMessage")));
        assert_eq!(lines[0]["message"]["message"], "hi");
    }

    #[test]
    fn what_strangers_say_cannot_drive_a_terminal() {
        let chat = RoomChatMessage { username: "A\u{1b}[2J".into(), message: "x\u{7}\ny".into(), ..Default::default() };
        let lines = tell(&mut narrator(), Message::RoomChatMessage(chat));
        assert_eq!(lines, ["    2.500  <A [2J> x  y"]);
    }

    #[test]
    fn middle_c_is_c4() {
        assert_eq!([note_name(60), note_name(0), note_name(127), note_name(21)], ["C4", "C-1", "G9", "A0"]);
    }
}
