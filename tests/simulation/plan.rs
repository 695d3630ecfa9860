//! What happens in a run, as data: it follows from a seed, is printed and read again, and shrinks by what is left out.

use pianorhythm_server::actor::{placement::shard_of, rng::Rng};
use serde::{Deserialize, Serialize};

/// Places for clients that are there at once.
pub const CLIENTS: usize = 8;
/// Users: the first moderates, the next two have accounts, the others are guests. Some have two tabs open.
pub const USERS: usize = 6;
/// Rooms by name; saved where they are created.
pub const ROOMS: [&str; 5] = ["attic", "barn", "cellar", "dome", "eyrie"];

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What it follows from.
    pub seed: u64,
    /// Of what size things are.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Of what size things are: small, so that they fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    pub shards: usize,
    /// Places of each inbox's lanes.
    pub control: usize,
    pub data: usize,
    pub handoffs: usize,
    /// Bytes that the kernel takes before a client reads them.
    pub send_buffer: usize,
    /// Bytes from which on a client is behind, and too far behind.
    pub shed_bytes: usize,
    pub close_bytes: usize,
    pub capacity: u32,
    /// Above so many members joins and leaves are gathered.
    pub crowd: usize,
    /// Members beyond so many live on other shards.
    pub spill_after: usize,
    /// Bytes that may be pending for those before they miss something.
    pub spill_pending: usize,
    /// Notes cost so much that some are refused.
    pub is_note_quota_tight: bool,
    /// Messages are limited as they are outside.
    pub has_rates: bool,
}

/// One thing that happens, and what runs after it: that follows from the number, so that it is the same whatever is left out
/// before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub number: u64,
    pub act: Act,
}

/// What happens. What is about a client that is not there does nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    Connect {
        client: usize,
        user: usize,
        json: bool,
        room: Option<usize>,
    },
    Join {
        client: usize,
        room: usize,
        password: bool,
    },
    Create {
        client: usize,
        room: usize,
        password: bool,
    },
    Lobby {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// Keys and pedals, each with its channel.
    Play {
        client: usize,
        events: Vec<Event>,
        asks: bool,
    },
    Chat {
        client: usize,
    },
    Avatar {
        client: usize,
    },
    Ask {
        client: usize,
        what: Question,
    },
    Rename {
        client: usize,
        name: u8,
    },
    Update {
        client: usize,
        what: Change,
    },
    Moderate {
        client: usize,
        user: usize,
        how: Moderation,
    },
    /// Notes that are none.
    Nonsense {
        client: usize,
    },
    /// Reads nothing any more; says nothing either, or goes on.
    Freeze {
        client: usize,
        speaks: bool,
    },
    Thaw {
        client: usize,
    },
    /// Is gone without a word.
    Vanish {
        client: usize,
    },
    /// Says good-bye.
    Goodbye {
        client: usize,
    },
    /// All connections of a user are closed.
    Logout {
        user: usize,
    },
    /// A shard is not turned for so many turns.
    Stall {
        shard: usize,
        turns: u32,
    },
    Documents {
        mood: Mood,
    },
    State {
        mood: Mood,
    },
    /// One in so many points of rooms' handlers panics; 0: none.
    Panics {
        one_in: u32,
    },
    Wait {
        ms: u64,
    },
    /// Comes to rest, and looks.
    Settle,
    /// The process ends and comes back with what its store has kept.
    Crash,
}

/// What a player does with a key or a pedal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    On(u8, u8),
    Off(u8, u8),
    Sustain(u8, bool),
    AllOff(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    Time,
    OwnRoom,
    OtherRoom,
    Rooms,
    Members,
    Heartbeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Welcome(u8),
    OnlyOwnerPlays(bool),
    Password(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Moderation {
    Kick,
    Ban,
    Unban,
    Mute,
    Unmute,
    Crown,
}

/// How a store does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mood {
    Well,
    /// Answers when it does well again.
    Hangs,
    Fails,
}

impl Plan {
    /// The run of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let setup = Setup {
            shards: 2 + rng.below(3) as usize,
            control: [2, 8, 64][rng.below(3) as usize],
            data: [1, 4, 64][rng.below(3) as usize],
            handoffs: [1, 1, 1, 16][rng.below(4) as usize],
            send_buffer: [2304, 4096, 8192][rng.below(3) as usize],
            shed_bytes: [8 * 1024, 20 * 1024][rng.below(2) as usize],
            close_bytes: 96 * 1024,
            capacity: [4, 8, 20][rng.below(3) as usize],
            crowd: [2, 100, 100, 100, 100][rng.below(5) as usize],
            spill_after: [2, 3, 4, 6, 1000, 1000, 1000, 1000][rng.below(8) as usize],
            spill_pending: [2 * 1024, 8 * 1024, 64 * 1024][rng.below(3) as usize],
            is_note_quota_tight: rng.below(5) == 0,
            has_rates: rng.below(4) == 0,
        };
        let is_concert = setup.spill_after <= CLIENTS;
        let capacity = if is_concert { 20 } else { setup.capacity };
        let setup = Setup { capacity, ..setup };
        let length = 120 + rng.below(240) as usize;
        let mood = Spirits {
            panics: rng.below(3) == 0,
            crashes: rng.below(3) == 0,
            // Nobody is lost: all that clients miss is what was counted as shed.
            is_gentle: rng.below(3) == 0,
            stalls: rng.below(3) == 0,
        };
        let has_saved = rng.below(2) == 0;
        // Some runs play in one room, others wander.
        let rooms = [1, 2, 2, 2, 3, ROOMS.len()][rng.below(if is_concert { 4 } else { 6 }) as usize];
        let mut steps = Vec::new();
        while steps.len() < length {
            let number = steps.len();
            let act = match number {
                // Saved rooms are made before anybody comes to them.
                0 if has_saved => Act::Connect { client: 0, user: 0, json: false, room: None },
                1..=5 if has_saved && number <= rooms => Act::Create { client: 0, room: number - 1, password: false },
                6 if has_saved => Act::Settle,
                0..16 if number % 2 == 0 => connect(&mut rng, number / 2, rooms),
                16.. if rng.below(10) == 0 => {
                    let acts = match is_concert && rng.below(4) > 0 {
                        true => concert(&mut rng, setup.shards, rooms),
                        false => phrase(&mut rng, setup.shards, rooms),
                    };
                    let acts = acts.into_iter().filter(|act| mood.allows(act)).enumerate();
                    steps.extend(acts.map(|(n, act)| Step { number: (number + n) as u64, act }));
                    continue;
                }
                _ => mood.act(&mut rng, setup.shards, rooms),
            };
            steps.push(Step { number: number as u64, act });
        }
        Self { seed, setup, steps }
    }
}

fn connect(rng: &mut Rng, client: usize, rooms: usize) -> Act {
    let room = (rng.below(4) > 0).then(|| rng.below(rooms as u64) as usize);
    // The moderator is in the first place.
    let user = if client == 0 { 0 } else { rng.below(USERS as u64) as usize };
    Act::Connect { client, user, json: rng.below(4) == 0, room }
}

/// What a run is like.
struct Spirits {
    panics: bool,
    crashes: bool,
    is_gentle: bool,
    stalls: bool,
}

impl Spirits {
    fn act(&self, rng: &mut Rng, shards: usize, rooms: usize) -> Act {
        let act = act(rng, shards, rooms, self);
        if self.allows(&act) { act } else { Act::Wait { ms: 0 } }
    }

    fn allows(&self, act: &Act) -> bool {
        match act {
            Act::Vanish { .. } | Act::Goodbye { .. } | Act::Logout { .. } => !self.is_gentle,
            Act::Moderate { how: Moderation::Kick | Moderation::Ban, .. } => !self.is_gentle,
            Act::Panics { .. } => self.panics && !self.is_gentle,
            Act::Crash => self.crashes && !self.is_gentle,
            _ => true,
        }
    }
}

/// Things that are of interest one right after the other, and come so seldom by themselves.
fn phrase(rng: &mut Rng, shards: usize, rooms: usize) -> Vec<Act> {
    let mut drawn = |n: usize| rng.below(n as u64) as usize;
    let (client, other, room) = (drawn(CLIENTS), drawn(CLIENTS), drawn(rooms));
    let join = |client, room| Act::Join { client, room, password: false };
    let on = |key| Act::Play { client: other, events: vec![Event::On(0, key); 250], asks: false };
    match drawn(7) {
        // Behind, and on the way.
        0 => {
            let mut acts = vec![join(other, drawn(rooms)), join(client, drawn(rooms)), Act::Wait { ms: 30 }];
            acts.push(Act::Freeze { client, speaks: true });
            acts.extend((0..drawn(20)).map(|n| on(60 + n as u8 % 5)));
            acts.extend((0..drawn(6)).map(|_| Act::Ask { client, what: Question::Members }));
            acts.extend([join(client, room), Act::Wait { ms: drawn(60) as u64 }, Act::Thaw { client }]);
            acts
        }
        // Asked, and gone elsewhere before the answer comes.
        1 => vec![
            Act::Ask { client, what: [Question::Rooms, Question::OtherRoom][drawn(2)] },
            Act::Rename { client, name: drawn(200) as u8 },
            join(client, room),
        ],
        // Told, and not there any more.
        2 => vec![join(client, room), Act::Logout { user: drawn(USERS) }],
        // Many to one shard, which stands still.
        3 => {
            let home = shard_of(ROOMS[room], shards);
            // From where they go, to where the others are not.
            let elsewhere = (0..ROOMS.len()).find(|room| shard_of(ROOMS[*room], shards) != home).unwrap_or(room);
            let mut acts: Vec<_> = (0..CLIENTS).map(|client| join(client, elsewhere)).collect();
            acts.push(Act::Wait { ms: 60 });
            acts.extend((0..CLIENTS).map(|client| join(client, room)));
            acts.push(Act::Wait { ms: 0 });
            acts.push(Act::Stall { shard: home, turns: 30 + drawn(100) as u32 });
            acts.push(Act::Wait { ms: 100 + drawn(200) as u64 });
            acts
        }
        // Held, and let go of where the room fails.
        4 | 5 => {
            let key = 60 + drawn(5) as u8;
            let play = |event| Act::Play { client, events: vec![event], asks: false };
            let mut acts = vec![join(client, room), join(other, room), Act::Wait { ms: 100 }, play(Event::On(0, key))];
            acts.extend([Act::Wait { ms: 20 }, Act::Panics { one_in: 3 }, play(Event::Off(0, key))]);
            acts.extend([Act::Wait { ms: 20 }, Act::Panics { one_in: 0 }, Act::Settle]);
            acts
        }
        // Said, and over.
        _ => {
            let mood = [Mood::Well, Mood::Hangs, Mood::Fails][drawn(3)];
            let chat = |client| Act::Chat { client };
            vec![
                Act::Documents { mood },
                chat(client),
                chat(other),
                chat(0),
                Act::Wait { ms: drawn(30) as u64 },
                Act::Crash,
            ]
        }
    }
}

/// Everybody comes to one room, so that it spills; most go, so that the others are called back.
fn concert(rng: &mut Rng, shards: usize, rooms: usize) -> Vec<Act> {
    let mut drawn = |n: usize| rng.below(n as u64) as usize;
    let (client, other, room) = (drawn(CLIENTS), drawn(CLIENTS), drawn(rooms));
    let join = |client| Act::Join { client, room, password: false };
    let mut acts: Vec<_> = (0..CLIENTS).map(join).collect();
    acts.push(Act::Wait { ms: drawn(120) as u64 });
    let play = |client, key| Act::Play { client, events: vec![Event::On(0, key); 1 + key as usize % 60], asks: false };
    match drawn(6) {
        // More is said than a branch may be behind, while its shard stands still.
        0 | 1 => {
            // One of those where there may be a branch.
            let shard = (shard_of(ROOMS[room], shards) + 1 + drawn(shards - 1)) % shards;
            acts.push(Act::Stall { shard, turns: 60 + drawn(120) as u32 });
            for _ in 0..40 {
                acts.push(play([client, other][drawn(2)], 60 + drawn(5) as u8));
                acts.push(Act::Wait { ms: 1 });
            }
            acts.extend([Act::Avatar { client }, Act::Leave { client: other }, Act::Wait { ms: drawn(400) as u64 }]);
        }
        // Heard by those who are away, where a shard stands still.
        2 => {
            acts.push(Act::Stall { shard: drawn(shards), turns: 20 + drawn(60) as u32 });
            acts.extend((0..drawn(30)).map(|_| play([client, other][drawn(2)], 60 + drawn(5) as u8)));
            acts.push(Act::Wait { ms: drawn(400) as u64 });
        }
        // Back home, in the middle of what is said.
        3 | 4 => {
            let stay = [client, other, drawn(CLIENTS)];
            let leaves = (0..CLIENTS).filter(|place| !stay.contains(place));
            acts.extend(leaves.map(|client| Act::Leave { client }));
            for _ in 0..4 + drawn(12) {
                let client = stay[drawn(3)];
                acts.push(play(client, 60 + drawn(5) as u8));
                acts.push(Act::Ask { client, what: Question::Members });
                acts.push(Act::Wait { ms: drawn(4) as u64 });
            }
        }
        // Told, asked and moved at once.
        _ => {
            let (user, how) = (drawn(USERS), [Moderation::Kick, Moderation::Mute, Moderation::Crown][drawn(3)]);
            acts.extend([Act::Moderate { client: 0, user, how }, Act::Chat { client }, Act::Leave { client: other }]);
            acts.extend([Act::Ask { client, what: Question::Members }, Act::Rename { client, name: drawn(200) as u8 }]);
        }
    }
    acts
}

fn act(rng: &mut Rng, shards: usize, rooms: usize, spirits: &Spirits) -> Act {
    let Spirits { panics, crashes, stalls, .. } = *spirits;
    let client = rng.below(CLIENTS as u64) as usize;
    let room = rng.below(rooms as u64) as usize;
    let user = rng.below(USERS as u64) as usize;
    let is = |n: u64, of: &mut Rng| of.below(n) == 0;
    match rng.below(1000) {
        0..=109 => connect(rng, client, rooms),
        110..=189 => Act::Join { client, room, password: is(3, rng) },
        190..=204 => Act::Create { client, room, password: is(4, rng) },
        205..=219 => Act::Lobby { client },
        220..=229 => Act::Leave { client },
        230..=599 => {
            let count = if is(6, rng) { 300 } else { 1 + rng.below(4) };
            Act::Play { client, events: (0..count).map(|_| event(rng)).collect(), asks: is(3, rng) }
        }
        600..=634 => Act::Chat { client },
        635..=659 => Act::Avatar { client },
        660..=699 => {
            use Question::{Heartbeat, Members, OtherRoom, OwnRoom, Rooms, Time};
            let what = [Time, OwnRoom, OtherRoom, Rooms, Members, Heartbeat][rng.below(6) as usize];
            Act::Ask { client, what }
        }
        700..=714 => Act::Rename { client, name: rng.below(200) as u8 },
        715..=729 => {
            let what = match rng.below(5) {
                0 => Change::Welcome(rng.below(200) as u8),
                1 => Change::Password(is(2, rng)),
                _ => Change::OnlyOwnerPlays(is(3, rng)),
            };
            Act::Update { client, what }
        }
        730..=769 => {
            use Moderation::{Ban, Crown, Kick, Mute, Unban, Unmute};
            let how = [Kick, Kick, Kick, Ban, Unban, Mute, Unmute, Crown][rng.below(8) as usize];
            Act::Moderate { client: if is(3, rng) { client } else { 0 }, user, how }
        }
        770..=772 => Act::Nonsense { client },
        773..=802 => Act::Freeze { client, speaks: is(2, rng) },
        803..=882 => Act::Thaw { client },
        883..=899 => Act::Vanish { client },
        900..=905 => Act::Goodbye { client },
        906..=909 => Act::Logout { user },
        910..=924 => {
            let turns = if stalls { 300 } else { 60 };
            Act::Stall { shard: rng.below(shards as u64) as usize, turns: rng.below(turns) as u32 }
        }
        925..=932 => {
            let mood = [Mood::Well, Mood::Well, Mood::Hangs, Mood::Fails][rng.below(4) as usize];
            Act::Documents { mood }
        }
        933..=938 => Act::State { mood: [Mood::Well, Mood::Hangs, Mood::Fails][rng.below(3) as usize] },
        939..=958 if panics => Act::Panics { one_in: [0, 4, 8, 20][rng.below(4) as usize] },
        949..=958 => Act::Settle,
        959..=966 if crashes => Act::Crash,
        967..=989 => Act::Wait { ms: rng.below(80) },
        990..=995 => Act::Wait { ms: rng.below(1500) },
        _ => Act::Wait { ms: 0 },
    }
}

fn event(rng: &mut Rng) -> Event {
    let (channel, key) = (rng.below(2) as u8, 60 + rng.below(5) as u8);
    match rng.below(12) {
        0..=5 => Event::On(channel, key),
        6..=9 => Event::Off(channel, key),
        10 => Event::Sustain(channel, rng.below(2) == 0),
        _ if rng.below(3) == 0 => Event::AllOff(channel),
        _ => Event::On(channel, key),
    }
}
