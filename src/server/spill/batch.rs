//! What travels between a room and its branches.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{identity::Profile, quota::CarriedQuota},
    net::outbox::Class,
    protocol::{
        close::CloseCode,
        ids::{Participant, RoomKey},
        wire::{MidiMessage, ServerMessage, user_left_room::Reason},
    },
};

/// Which branch: of which room, and which in the process's life. A room that comes again has other branches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BranchKey {
    /// The room.
    pub room: RoomKey,
    /// Unique in the process.
    pub life: u64,
}

/// From a room to a branch: at most one a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outward {
    /// From 1, one more each.
    pub number: u64,
    /// The inward batches up to this one have been handled.
    pub heard: u64,
    /// What it says, in order.
    pub items: Vec<OutwardItem>,
    /// The frames of its items, one behind the other.
    pub frames: Bytes,
}

/// One thing that a branch is told. Frames are taken from the batch's buffer in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutwardItem {
    /// From here on this one is among those whom `All` is for.
    Enter(Participant),
    /// A frame for every member but one.
    All {
        /// Who is left out.
        except: Option<Participant>,
        /// What it is to who falls behind.
        class: Class,
        /// The length of the frame in protobuf; 0 where nobody there speaks that.
        protobuf: u32,
        /// The same in JSON.
        json: u32,
    },
    /// A frame for one member.
    One {
        /// Who.
        to: Participant,
        /// Its length.
        length: u32,
        /// It refuses something that honest clients do not ask for.
        is_strike: bool,
    },
    /// Ask one whether it is there.
    Ping(Participant),
    /// Close one, who is out of the room already.
    Close(Participant, CloseCode),
    /// One is out of the room, as it asked; with its quota.
    Left(Participant, CarriedQuota),
    /// One is to come home: it is to finish what it says, and `Ready`.
    Recall(Participant),
    /// One who is ready: nothing more comes for it here.
    Come(Participant),
}

/// From a branch to its room: at most one a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inward {
    /// From 1, one more each.
    pub number: u64,
    /// The outward batches up to this one have been handled.
    pub heard: u64,
    /// What its members say, in order.
    pub items: Vec<(Participant, InwardItem)>,
    /// It has failed, and is no more.
    pub is_over: bool,
}

/// What a member at a branch says to its room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InwardItem {
    /// It is there.
    Heard,
    /// A request that is the room's to decide.
    Request(Box<ServerMessage>),
    /// Notes over the rate limit: those that end are relayed.
    Release(MidiMessage),
    /// It is seen otherwise from now on.
    Profile(Box<Profile>),
    /// It leaves, or has gone.
    Leave {
        /// Why.
        reason: Reason,
        /// It waits for `Left`.
        waits: bool,
    },
    /// It has said all, and may come home.
    Ready,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::server_message::Message;

    #[test]
    fn both_batches_come_back_from_what_another_node_would_be_sent() {
        let midi = MidiMessage { midi_data: vec![0, 0x90, 60, 100].into(), ..Default::default() };
        let request = ServerMessage { message: Some(Message::MidiMessage(midi.clone())), ..Default::default() };
        let one = Participant(7);
        let inward = Inward {
            number: 3,
            heard: 2,
            items: vec![
                (one, InwardItem::Request(Box::new(request))),
                (one, InwardItem::Release(midi)),
                (one, InwardItem::Leave { reason: Reason::Kicked, waits: true }),
            ],
            is_over: false,
        };
        let text = serde_json::to_string(&inward).unwrap();
        assert_eq!(serde_json::from_str::<Inward>(&text).unwrap(), inward);
        let class = Class::Midi { participant: 7, sequence: 1 };
        let outward = Outward {
            number: 1,
            heard: 0,
            items: vec![
                OutwardItem::Enter(one),
                OutwardItem::All { except: Some(one), class, protobuf: 3, json: 0 },
                OutwardItem::Close(one, CloseCode::Kicked),
            ],
            frames: vec![1, 2, 3].into(),
        };
        let text = serde_json::to_string(&outward).unwrap();
        assert_eq!(serde_json::from_str::<Outward>(&text).unwrap(), outward);
    }
}
