//! What one connection may hear, and what it must not: the protocol's promises about order, presence and silence, checked
//! message by message. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pianorhythm_client::protocol::{
    midi::{Events, SOSTENUTO, SUSTAIN},
    wire::{MidiMessage, client_message::Message},
};

/// What of one participant sounds: channel and key, or channel and pedal.
#[derive(Debug, Default)]
struct Heard {
    /// The sequence number that is due; unknown until the first, of those who were there before.
    next: Option<u32>,
    keys: BTreeSet<(u8, u8)>,
    pedals: BTreeSet<(u8, u8)>,
}

impl Heard {
    fn is_silent(&self) -> bool {
        self.keys.is_empty() && self.pedals.is_empty()
    }
}

/// The books of one connection about the room it is in.
#[derive(Debug, Default)]
pub struct Ear {
    me: u32,
    others: BTreeMap<u32, Heard>,
    /// Notes heard, presses only.
    pub notes: u64,
    /// Times the server said that it shed notes.
    pub gaps: u64,
}

impl Ear {
    /// Takes a message in, and says what is wrong with it.
    pub fn take(&mut self, message: &Message) -> Result<(), String> {
        match message {
            Message::RoomJoinedResponse(joined) => {
                self.me = joined.participant;
                let others = joined.current_users.iter().map(|member| member.participant);
                self.others = others.filter(|other| *other != self.me).map(|other| (other, Heard::default())).collect();
                Ok(())
            }
            Message::UserJoinedRoom(joined) => {
                let number = joined.member.as_ref().map_or(0, |member| member.participant);
                let last = self.others.last_key_value().map_or(self.me, |(last, _)| self.me.max(*last));
                let heard = Heard { next: Some(1), ..Heard::default() };
                if number <= last || self.others.insert(number, heard).is_some() {
                    return Err(format!("participant {number} joins after {last}"));
                }
                Ok(())
            }
            Message::UserLeftRoom(left) => match self.others.remove(&left.participant) {
                None => Err(format!("participant {} leaves, who was not there", left.participant)),
                Some(heard) if !heard.is_silent() => {
                    Err(format!("participant {} leaves, and still sounds: {heard:?}", left.participant))
                }
                Some(_) => Ok(()),
            },
            Message::MidiMessage(midi) => self.take_midi(midi),
            Message::Gap(gap) => {
                self.gaps += 1;
                let Some(heard) = self.others.get_mut(&gap.participant) else {
                    return Err(format!("a gap of participant {}, who is not there", gap.participant));
                };
                *heard = Heard { next: Some(gap.next_sequence), ..Heard::default() };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_midi(&mut self, midi: &MidiMessage) -> Result<(), String> {
        let number = midi.participant;
        let Some(heard) = self.others.get_mut(&number) else {
            let who = if number == self.me { "one's own" } else { "of nobody in the room" };
            return Err(format!("notes {who} (participant {number})"));
        };
        let due = heard.next.replace(midi.sequence.wrapping_add(1));
        if due.is_some_and(|due| due != midi.sequence) {
            return Err(format!("participant {number}: sequence {} where {due:?} was due", midi.sequence));
        }
        for event in Events::parse(&midi.midi_data).map_err(|error| format!("participant {number}: {error}"))? {
            let (message, [first, value]) = (event.message, event.message.data());
            let on_channel = (message.channel(), first);
            if message.is_note_on() {
                self.notes += 1;
                heard.keys.insert(on_channel);
            } else if message.is_note_off() {
                heard.keys.remove(&on_channel);
            } else if message.is_all_notes_off() {
                heard.keys.retain(|(channel, _)| *channel != message.channel());
            } else if message.is_control(SUSTAIN) || message.is_control(SOSTENUTO) {
                if value >= 64 {
                    heard.pedals.insert(on_channel)
                } else {
                    heard.pedals.remove(&on_channel)
                };
            }
        }
        Ok(())
    }

    /// Whether this connection is in a room.
    pub fn is_seated(&self) -> bool {
        self.me != 0
    }

    /// Participants beside this one.
    pub fn company(&self) -> usize {
        self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_client::protocol::{
        midi::{ChannelMessage, MidiWriter},
        wire::{Gap, Member, RoomJoinedResponse, UserJoinedRoom, UserLeftRoom},
    };

    use super::*;

    fn member(participant: u32) -> Member {
        Member { participant, ..Member::default() }
    }

    /// Participant 5, in a room where 3 was before and 6 has come after.
    fn seated() -> Ear {
        let mut ear = Ear::default();
        let current_users = vec![member(3), member(5)];
        let joined = RoomJoinedResponse { participant: 5, current_users, ..RoomJoinedResponse::default() };
        ear.take(&Message::RoomJoinedResponse(joined)).unwrap();
        ear.take(&Message::UserJoinedRoom(UserJoinedRoom { member: Some(member(6)) })).unwrap();
        ear
    }

    fn play(ear: &mut Ear, participant: u32, sequence: u32, message: ChannelMessage) -> Result<(), String> {
        let mut midi = MidiWriter::new();
        midi.push(0, message).unwrap();
        let midi_data = midi.into_bytes();
        ear.take(&Message::MidiMessage(MidiMessage { participant, sequence, midi_data, ..MidiMessage::default() }))
    }

    fn leave(ear: &mut Ear, participant: u32) -> Result<(), String> {
        ear.take(&Message::UserLeftRoom(UserLeftRoom { participant, ..UserLeftRoom::default() }))
    }

    const PRESS: ChannelMessage = ChannelMessage::note_on(0, 60, 80);
    const RELEASE: ChannelMessage = ChannelMessage::note_off(0, 60, 0);

    #[test]
    fn what_keeps_the_promises_passes() {
        let mut ear = seated();
        play(&mut ear, 3, 41, PRESS).unwrap();
        play(&mut ear, 6, 1, ChannelMessage::control(0, SUSTAIN, 127)).unwrap();
        play(&mut ear, 3, 42, RELEASE).unwrap();
        play(&mut ear, 6, 2, ChannelMessage::control(0, SUSTAIN, 0)).unwrap();
        ear.take(&Message::Gap(Gap { participant: 3, next_sequence: 50 })).unwrap();
        play(&mut ear, 3, 50, PRESS).unwrap();
        play(&mut ear, 3, 51, ChannelMessage::control(0, 123, 0)).unwrap();
        leave(&mut ear, 3).unwrap();
        leave(&mut ear, 6).unwrap();
        assert_eq!((ear.company(), ear.notes, ear.gaps), (0, 2, 1));
    }

    #[test]
    fn what_breaks_them_is_told() {
        assert!(play(&mut seated(), 6, 2, PRESS).is_err(), "whose first note was missed");
        assert!(play(&mut seated(), 5, 1, PRESS).is_err(), "an echo");
        assert!(play(&mut seated(), 4, 1, PRESS).is_err(), "a stranger");
        assert!(leave(&mut seated(), 4).is_err());
        assert!(seated().take(&Message::UserJoinedRoom(UserJoinedRoom { member: Some(member(6)) })).is_err());
        for sticking in [PRESS, ChannelMessage::control(0, SUSTAIN, 64)] {
            let mut ear = seated();
            play(&mut ear, 3, 9, sticking).unwrap();
            assert!(leave(&mut ear, 3).is_err());
        }
        let mut ear = seated();
        play(&mut ear, 3, 9, PRESS).unwrap();
        assert!(play(&mut ear, 3, 9, RELEASE).is_err(), "twice");
        let mut ear = seated();
        play(&mut ear, 3, 9, PRESS).unwrap();
        assert!(play(&mut ear, 3, 11, RELEASE).is_err(), "one was lost");
    }
}
