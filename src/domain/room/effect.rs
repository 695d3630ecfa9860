//! What a room wants done: its effects, which the shell performs in order, and the changes a store is to keep.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{chat::ChatLine, room::record::RoomRecord},
    protocol::{
        close::CloseCode,
        ids::{ConnectionId, Participant, RoomKey},
        wire::{self, client_message::Message},
    },
};

/// One thing to do. Effects are performed in the order in which they were pushed.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// MIDI to every member but `from`, who may have left by this very transition.
    Relay {
        /// Whose notes they are.
        from: Participant,
        /// Complete: number, sequence and timestamp are filled in.
        midi: wire::MidiMessage,
    },
    /// A message to every member but `except`. Only pushed where there is somebody to hear it.
    Broadcast {
        /// Who is left out.
        except: Option<Participant>,
        /// What it is.
        message: Message,
    },
    /// A message to one member. It may be about to be closed: what cannot be delivered is dropped.
    Send {
        /// To whom.
        to: Participant,
        /// The request it answers.
        request_id: Option<u32>,
        /// What it is.
        message: Message,
    },
    /// A WebSocket ping: the member holds something and has been silent.
    Ping {
        /// To whom.
        to: Participant,
    },
    /// Closes a connection. The member is out of the room already, and its leaving was pushed before.
    Close {
        /// The number it had.
        participant: Participant,
        /// Its socket.
        connection: ConnectionId,
        /// Why.
        code: CloseCode,
    },
    /// Keeps a change. `then` is performed once the store has committed; where it fails, the request is answered with
    /// `STORE_UNAVAILABLE` instead. The room itself has changed already: a later save carries this change too.
    Commit {
        /// What to keep.
        change: RoomChange,
        /// What to do after, with the answer.
        then: Vec<Effect>,
        /// Who asked, and with what id; `None` where nobody did.
        request: Option<(Participant, Option<u32>)>,
    },
    /// The room's entry in the directory has changed: read [`Room::summary`](crate::domain::room::Room::summary).
    Listed,
    /// Empty beyond its grace time: the shell drops the room and its entry. A saved room comes back from the store.
    Retire,
}

/// What a store keeps of a saved room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RoomChange {
    /// Everything but chat, in place of what was there.
    Save(Box<RoomRecord>),
    /// One more line; the store keeps the last hundred a room.
    Chat {
        /// Whose.
        key: RoomKey,
        /// Which.
        line: ChatLine,
    },
    /// The room with its chat is no more.
    Delete(RoomKey),
}
