//! A run: the steps of a plan, done one after the other, and the end.

use std::time::Duration;

use pianorhythm_server::{
    domain::defect::{self, Defect},
    protocol::{
        codec::Format,
        midi::{ChannelMessage, MidiWriter},
        wire::{
            AvatarCommand, CreateRoomCommand, GetMembers, GetRoomInfo, HeartbeatMessage, JoinNextAvailableLobby,
            JoinRoomByName, LeaveRoom, ListRooms, MidiMessage, RoomChatMessage, RoomModeration, RoomSettings,
            SetProfile, TimeSync, UpdateRoomCommand, room_moderation::Action, server_message::Message,
        },
    },
};

use crate::{
    client::{Asked, Client},
    plan::{Act, CLIENTS, Change, Event, Moderation, Plan, Question, ROOMS, Setup, Step},
    register::Register,
    world::{Tally, World, user_id},
};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold, and at which step; none where all did.
    pub violation: Option<Violation>,
    /// What clients have heard and when, as a number.
    pub trace: u64,
    /// How much clients have heard.
    pub heard: u64,
    /// How often what happened.
    pub tally: Tally,
}

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// After which of the plan's steps; the plan's length where it was at the end.
    pub at: usize,
    /// What.
    pub what: String,
}

impl Violation {
    /// What it is about, without whom: the first of its words that are no names.
    pub fn kind(&self) -> String {
        let is_word = |word: &&str| word.chars().all(char::is_lowercase) && !ROOMS.contains(word);
        self.what.split_whitespace().filter(is_word).take(8).collect::<Vec<_>>().join(" ")
    }
}

/// Does what a plan says, and looks.
pub fn run(plan: &Plan, planted: Option<Defect>, is_told: bool) -> Outcome {
    defect::plant(planted);
    let mut world = World::new(&plan.setup, plan.seed, is_told);
    let mut violation = None;
    for (at, step) in plan.steps.iter().enumerate() {
        if let Err(what) = do_step(&mut world, &plan.setup, step) {
            violation = Some(Violation { at, what });
            break;
        }
    }
    if violation.is_none()
        && let Err(what) = finish(&mut world)
    {
        violation = Some(Violation { at: plan.steps.len(), what });
    }
    let outcome = Outcome { violation, trace: world.trace(), heard: world.heard, tally: world.tally() };
    drop(world);
    defect::plant(None);
    outcome
}

fn do_step(world: &mut World, setup: &Setup, step: &Step) -> Result<(), String> {
    world.begin(step.number);
    world.tell(|| format!("{step:?}"));
    match &step.act {
        Act::Connect { client, user, json, room } => {
            let format = if *json { Format::Json } else { Format::Protobuf };
            world.connect(*client, *user, format, *room);
        }
        Act::Freeze { client, speaks } => {
            if let Some(client) = world.client(*client) {
                (client.is_frozen, client.has_lagged, client.is_mute) = (true, true, !speaks);
            }
        }
        Act::Thaw { client } => {
            if let Some(client) = world.client(*client) {
                (client.is_frozen, client.is_mute) = (false, false);
            }
        }
        Act::Vanish { client } => {
            if let Some(client) = world.client(*client) {
                client.vanish();
            }
        }
        Act::Goodbye { client } => {
            if let Some(client) = speaking(world, *client) {
                client.say_goodbye();
            }
        }
        Act::Logout { user } => world.log_out(*user),
        Act::Stall { shard, turns } => world.stall(shard % setup.shards, *turns),
        Act::Documents { mood } => world.shelf.set_mood(*mood),
        Act::State { mood } => world.slate.set_mood(*mood),
        Act::Panics { one_in } => world.panics(*one_in),
        Act::Wait { ms } => world.wait(Duration::from_millis(*ms))?,
        Act::Settle => world.settle()?,
        Act::Crash => world.crash()?,
        act => say(world, act),
    }
    world.bustle()
}

fn speaking(world: &mut World, place: usize) -> Option<&mut Client> {
    world.client(place).filter(|client| !client.is_mute)
}

/// What a client says.
fn say(world: &mut World, act: &Act) {
    let password = |has: bool| if has { "sesame".to_owned() } else { String::new() };
    let (place, asked, message) = match *act {
        Act::Join { client, room, password: has } => {
            let join = JoinRoomByName { room_name: ROOMS[room].into(), password: password(has) };
            (client, Asked::Join, Message::JoinRoomByName(join))
        }
        Act::Create { client, room, password: has } => {
            let room_name = ROOMS[room].into();
            let create = CreateRoomCommand { room_name, password: password(has), ..Default::default() };
            (client, Asked::Create, Message::CreateRoomCommand(create))
        }
        Act::Lobby { client } => {
            (client, Asked::Join, Message::JoinNextAvailableLobby(JoinNextAvailableLobby::default()))
        }
        Act::Leave { client } => (client, Asked::Leave, Message::LeaveRoom(LeaveRoom {})),
        Act::Play { client, ref events, asks } => {
            let Some(client) = speaking(world, client) else { return };
            client.play(events);
            let message = Message::MidiMessage(notes(events));
            return if asks { client.ask(Asked::Other, message) } else { client.say(None, message) };
        }
        Act::Chat { client } => {
            let Some(speaker) = speaking(world, client) else { return };
            let asked = Asked::Chat(speaker.certain_life());
            let message = format!("client {client} says something");
            (client, asked, Message::RoomChatMessage(RoomChatMessage { message, ..Default::default() }))
        }
        Act::Avatar { client } => {
            let Some(client) = speaking(world, client) else { return };
            let avatar = AvatarCommand { avatar_data: vec![7; 100].into(), ..Default::default() };
            return client.say(None, Message::AvatarCommand(avatar));
        }
        Act::Ask { client, what } => (client, Asked::Other, question(what)),
        Act::Rename { client, name } => {
            let profile = SetProfile { name: Some(format!("Name {name}")), colour: None };
            (client, Asked::Other, Message::SetProfile(profile))
        }
        Act::Update { client, what } => {
            let Some(owner) = speaking(world, client) else { return };
            let (life, room) = (owner.certain_life(), owner.certain_room());
            let asked = match what {
                Change::Welcome(number) => {
                    let write = world.checks.kept.ask(Register::Welcome, room, welcome(number));
                    Asked::Write { write, life }
                }
                _ => Asked::Other,
            };
            (client, asked, Message::UpdateRoomCommand(change(what)))
        }
        Act::Moderate { client, user, how } => {
            let Some(moderator) = speaking(world, client) else { return };
            let (life, room) = (moderator.certain_life(), moderator.certain_room());
            let write = world.checks.moderating(how, user, room);
            (client, Asked::Moderate { how, user, life, write }, Message::RoomModeration(moderation(how, user)))
        }
        Act::Nonsense { client } => {
            let midi_data = vec![0, 0x90, 200].into();
            (client, Asked::Other, Message::MidiMessage(MidiMessage { midi_data, ..Default::default() }))
        }
        _ => return,
    };
    if let Some(client) = speaking(world, place) {
        client.ask(asked, message);
    }
}

fn notes(events: &[Event]) -> MidiMessage {
    let mut writer = MidiWriter::new();
    for event in events {
        let message = match *event {
            Event::On(channel, key) => ChannelMessage::note_on(channel, key, 90),
            Event::Off(channel, key) => ChannelMessage::note_off(channel, key, 0),
            Event::Sustain(channel, is_down) => ChannelMessage::control(channel, 64, if is_down { 127 } else { 0 }),
            Event::AllOff(channel) => ChannelMessage::control(channel, 123, 0),
        };
        writer.push(0, message).unwrap();
    }
    MidiMessage { midi_data: writer.into_bytes(), ..Default::default() }
}

fn question(what: Question) -> Message {
    match what {
        Question::Time => Message::TimeSync(TimeSync::default()),
        Question::OwnRoom => Message::GetRoomInfo(GetRoomInfo::default()),
        Question::OtherRoom => Message::GetRoomInfo(GetRoomInfo { room_name: ROOMS[0].into() }),
        Question::Rooms => Message::ListRooms(ListRooms::default()),
        Question::Members => Message::GetMembers(GetMembers::default()),
        Question::Heartbeat => Message::HeartbeatMessage(HeartbeatMessage::default()),
    }
}

fn welcome(number: u8) -> String {
    format!("Welcome {number}")
}

fn change(what: Change) -> UpdateRoomCommand {
    let mut settings = RoomSettings::default();
    let mut update = UpdateRoomCommand::default();
    match what {
        Change::Welcome(number) => settings.welcome_message = Some(welcome(number)),
        Change::OnlyOwnerPlays(is_on) => settings.only_owner_plays = Some(is_on),
        Change::Password(has) => update.password = Some(if has { "sesame".into() } else { String::new() }),
    }
    UpdateRoomCommand { settings: Some(settings), ..update }
}

fn moderation(how: Moderation, user: usize) -> RoomModeration {
    let action = match how {
        Moderation::Kick => Action::Kick,
        Moderation::Ban => Action::Ban,
        Moderation::Unban => Action::Unban,
        Moderation::Mute => Action::Mute,
        Moderation::Unmute => Action::Unmute,
        Moderation::Crown => Action::TransferOwnership,
    };
    RoomModeration { action: action as i32, target_user_id: user_id(user), ..Default::default() }
}

/// Everybody stops, in one way or another: nothing sounds any more. Then everybody goes: nothing is left.
fn finish(world: &mut World) -> Result<(), String> {
    world.begin(u64::MAX);
    world.tell(|| "the end".to_owned());
    world.settle()?;
    // As long as a crown may be kept by who is away, and before that by who is not known to be.
    world.wait(Duration::from_millis(700))?;
    world.settle()?;
    world.owners()?;
    for place in 0..CLIENTS {
        let how = world.rng.below(4);
        let Some(client) = world.client(place) else { continue };
        match how {
            0 => {
                let keys = client.keys.iter().map(|&(channel, key)| Event::Off(channel, key));
                let pedals = client.pedals.iter().map(|&(channel, _)| Event::Sustain(channel, false));
                let events: Vec<_> = keys.chain(pedals).collect();
                client.play(&events);
                client.ask(Asked::Other, Message::MidiMessage(notes(&events)));
            }
            1 => client.ask(Asked::Leave, Message::LeaveRoom(LeaveRoom {})),
            2 => client.vanish(),
            _ => client.say_goodbye(),
        }
        world.bustle()?;
    }
    world.settle()?;
    world.silence()?;
    for place in 0..CLIENTS {
        if let Some(client) = world.client(place) {
            client.say_goodbye();
        }
    }
    world.settle()?;
    world.emptiness()
}
