//! The band: it plays in rooms of its own, one on each shard, for as long as the hostility lasts, and misses nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{ServerMessage, client_message::Message},
};

use crate::support::{
    client::Client,
    music::{number, numbered},
    process::ServerProcess,
    say,
    server::{SHARDS, room_on},
    socket::frame_of,
};

/// Members of each room: all play.
const MEMBERS: usize = 3;
/// Between two notes of the whole band: each member plays about 20 a second, half of what its quota allows.
const PAUSE: Duration = Duration::from_micros(5500);
/// Numbers that notes can carry.
const MOST: usize = 15_000;

/// The band.
pub struct Band {
    /// Room by room.
    members: Vec<Client>,
    is_over: Arc<AtomicBool>,
    /// Ends with how many notes each has played.
    playing: JoinHandle<usize>,
}

impl Band {
    /// Takes its seats and begins.
    pub fn begin(server: &ServerProcess) -> Self {
        let mut members = Vec::new();
        for room in 0..SHARDS {
            for member in 0..MEMBERS {
                let format = if member % 2 == 0 { Format::Protobuf } else { Format::Json };
                let mut client = server.guest(format, "Band");
                client.join(&room_on(room, 1));
                members.push(client);
            }
        }
        let writers: Vec<_> = members.iter().map(|member| (member.writer(), member.format)).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let playing = thread::spawn(move || {
            for played in 0..MOST {
                for (writer, format) in &writers {
                    if ends.load(Ordering::Relaxed) && std::ptr::eq(writer, &writers[0].0) {
                        return played;
                    }
                    // Where the connection has ended, its member will say so.
                    let _ = writer.write(&frame_of(*format, &ServerMessage::event(say::notes(&numbered(played)))));
                    thread::sleep(PAUSE);
                }
            }
            MOST
        });
        Self { members, is_over, playing }
    }

    /// Ends, and looks at what everybody heard: each note of each other member, in order, and no gap.
    pub fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let Self { mut members, playing, .. } = self;
        let played = playing.join().unwrap();
        for member in &mut members {
            // What it has sent is relayed when this is answered.
            member.ask(say::heartbeat());
        }
        for (at, member) in members.iter_mut().enumerate() {
            let own = (at % MEMBERS) as u32 + 1;
            let mut heard = [0; MEMBERS];
            for message in member.events() {
                match message {
                    Message::MidiMessage(midi) => {
                        let of = &mut heard[midi.participant as usize - 1];
                        assert_eq!(number(&midi), Some(*of), "member {at}, of participant {}", midi.participant);
                        *of += 1;
                        assert_eq!(midi.sequence as usize, *of, "member {at}, of participant {}", midi.participant);
                    }
                    Message::UserJoinedRoom(_) | Message::HeartbeatMessage(_) => {}
                    message => panic!("member {at} was told {message:?}"),
                }
            }
            for participant in 1..=MEMBERS as u32 {
                let expected = if participant == own { 0 } else { played };
                assert_eq!(heard[participant as usize - 1], expected, "member {at}, of participant {participant}");
            }
        }
        assert!(played > 0, "the band has played");
        played
    }
}
