//! One who plays: comes, plays at random, changes rooms, talks, and goes, politely or not; again and again.

use std::{sync::Arc, time::Duration};

use pianorhythm_client::{
    Client, Closed, ConnectError, Event, Events, RequestError,
    protocol::{
        codec::Format,
        midi::{ChannelMessage, MidiWriter, SUSTAIN},
        wire::{
            GetMembers, JoinNextAvailableLobby, JoinRoomByName, LeaveRoom, ListRooms, SetProfile,
            client_message::Message as Told, server_message::Message,
        },
    },
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{chance::Chance, ear::Ear, report::Report};

/// What all players know.
pub struct Plan {
    /// The server.
    pub url: String,
    /// The rooms they meet in.
    pub rooms: Vec<String>,
    /// What they tell.
    pub report: Report,
}

/// Plays until told to stop; what then sounds is cut off.
pub async fn live(number: u64, seed: u64, plan: Arc<Plan>, mut stop: watch::Receiver<bool>) {
    let mut player = Player { name: format!("player {number}"), chance: Chance::new(seed, number), plan, token: None };
    let life = async {
        loop {
            player.visit().await;
            let pause = Duration::from_millis(player.chance.below(2500));
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = life => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

struct Player {
    name: String,
    chance: Chance,
    plan: Arc<Plan>,
    /// Who it was before.
    token: Option<String>,
}

/// One connection of a player.
struct Visit {
    client: Client,
    ear: Ear,
    held: Vec<(u8, u8)>,
    pedal: bool,
    room: Option<usize>,
    /// A join that is not answered yet: the room's number, none for a lobby.
    joining: Option<Option<usize>>,
    /// It has left its room, and what that had sent before may still come.
    left: bool,
}

impl Visit {
    /// Whether what it plays sounds somewhere: notes sent during a change of rooms wait, and sound in the new one.
    fn may_play(&self) -> bool {
        self.ear.is_seated() && !self.left
    }

    fn is_settled(&self) -> bool {
        self.may_play() && self.joining.is_none()
    }
}

impl Player {
    async fn visit(&mut self) {
        let room = self.some_room();
        let format = if self.chance.percent(30) { Format::Json } else { Format::Protobuf };
        let mut builder = Client::builder(&self.plan.url).name(&self.name).format(format);
        let in_room = self.chance.percent(80);
        if in_room {
            builder = builder.room(&self.plan.rooms[room]);
        }
        if let Some(token) = self.token.take().filter(|_| self.chance.percent(70)) {
            builder = builder.guest_token(token);
        }
        let (client, events) = match builder.connect().await {
            Ok(connected) => connected,
            Err(ConnectError::Room(refusal)) => return self.plan.report.refused(&self.name, &refusal.message),
            Err(error) => return self.plan.report.fault(&self.name, error),
        };
        Report::add(&self.plan.report.connections, 1);
        self.token = Some(client.welcome().guest_token.clone()).filter(|token| !token.is_empty());
        let joining = in_room.then_some(Some(room));
        let ear = Ear::default();
        let visit = Visit { client, ear, held: Vec::new(), pedal: false, room: None, joining, left: false };
        self.stay(visit, events).await;
    }

    async fn stay(&mut self, mut visit: Visit, mut events: Events) {
        let leaves_at = Instant::now() + Duration::from_millis(self.chance.between(500, 9000));
        let mut acts_at = Instant::now();
        let ended = loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Ok(event) => self.hear(&mut visit, event),
                    Err(closed) => break Some(closed),
                },
                () = sleep_until(leaves_at) => break None,
                () = sleep_until(acts_at) => {
                    acts_at = Instant::now() + Duration::from_millis(self.chance.between(20, 150));
                    if let Err(closed) = self.act(&mut visit).await {
                        break Some(closed);
                    }
                }
            }
        };
        let report = &self.plan.report;
        Report::add(&report.heard, visit.ear.notes);
        Report::add(&report.gaps, visit.ear.gaps);
        let stats = visit.client.stats();
        if stats.unreadable > 0 {
            report.fault(&self.name, format!("{} messages that cannot be read", stats.unreadable));
        }
        match ended {
            Some(closed) => report.fault(&self.name, closed),
            None if self.chance.percent(50) => {
                // The events must go on being taken, or the good-bye waits behind them.
                drop(events);
                let closed = visit.client.close().await;
                if !closed.is_normal() {
                    report.fault(&self.name, format!("after the good-bye, {closed}"));
                }
            }
            // Dropped with keys down: the server finds the socket gone.
            None => Report::add(&report.cuts, 1),
        }
    }

    fn hear(&mut self, visit: &mut Visit, event: Event) {
        let report = &self.plan.report;
        match &event.message {
            Told::RoomJoinedResponse(_) => {
                Report::add(&report.joins, 1);
                // The room that was left has let go of what was held in it.
                visit.held.clear();
                (visit.pedal, visit.left) = (false, false);
                visit.room = visit.joining.take().flatten();
            }
            Told::ErrorMessage(error) => {
                // Joins are the only messages sent without an id that are refused to honest clients.
                visit.joining = None;
                report.refused(&self.name, error);
            }
            Told::QuotaExceeded(quota) => report.fault(&self.name, format!("{} notes over the quota", quota.refused)),
            Told::RoomClosed(_) => report.fault(&self.name, "the room closed with somebody in it"),
            _ => {}
        }
        if let Err(fault) = visit.ear.take(&event.message) {
            report.fault(&self.name, fault);
        }
    }

    /// Does one thing at random.
    async fn act(&mut self, visit: &mut Visit) -> Result<(), Closed> {
        let done = match self.chance.below(100) {
            0..6 if visit.joining.is_none() => self.change_room(visit).await,
            6..9 if visit.is_settled() => self.talk(visit).await,
            9..12 => self.ask(visit).await,
            12 if visit.is_settled() => {
                let colour = Some(format!("#{:06x}", self.chance.below(0x100_0000)));
                visit.client.send(Message::SetProfile(SetProfile { colour, name: None })).await.map_err(Into::into)
            }
            _ if visit.may_play() => self.play(visit).await,
            _ => Ok(()),
        };
        match done {
            Ok(()) => Ok(()),
            Err(RequestError::Refused(refusal)) => {
                self.plan.report.refused(&self.name, &refusal.message);
                Ok(())
            }
            // How it ended comes after the last event.
            Err(RequestError::Send(_)) => Err(visit.client.closed().await),
            Err(error) => {
                self.plan.report.fault(&self.name, error);
                Ok(())
            }
        }
    }

    async fn play(&mut self, visit: &mut Visit) -> Result<(), RequestError> {
        let mut midi = MidiWriter::new();
        for _ in 0..self.chance.between(1, 5) {
            let delta = self.chance.below(20) as u32;
            let message = if self.chance.percent(5) {
                visit.pedal = !visit.pedal;
                ChannelMessage::control(0, SUSTAIN, if visit.pedal { 127 } else { 0 })
            } else if visit.held.len() > 6 || (!visit.held.is_empty() && self.chance.percent(50)) {
                let at = self.chance.below(visit.held.len() as u64) as usize;
                let (channel, key) = visit.held.swap_remove(at);
                ChannelMessage::note_off(channel, key, 0)
            } else {
                let (channel, key) = (self.chance.below(2) as u8, self.chance.between(21, 109) as u8);
                Report::add(&self.plan.report.played, 1);
                if !visit.held.contains(&(channel, key)) {
                    visit.held.push((channel, key));
                }
                ChannelMessage::note_on(channel, key, self.chance.between(1, 128) as u8)
            };
            midi.push(delta, message).expect("a few events fit");
        }
        Ok(visit.client.play(visit.client.clock().now(), midi.into_bytes()).await?)
    }

    async fn change_room(&mut self, visit: &mut Visit) -> Result<(), RequestError> {
        // Without ids, so that the answers come in order with all else.
        let message = match self.chance.below(10) {
            0 if visit.is_settled() => {
                (visit.left, visit.room) = (true, None);
                Message::LeaveRoom(LeaveRoom {})
            }
            1 if visit.room.is_some() => {
                visit.joining = Some(None);
                Message::JoinNextAvailableLobby(JoinNextAvailableLobby {})
            }
            _ => {
                let room = self.some_room();
                if visit.room == Some(room) {
                    return Ok(());
                }
                visit.joining = Some(Some(room));
                let room_name = self.plan.rooms[room].clone();
                Message::JoinRoomByName(JoinRoomByName { room_name, password: String::new() })
            }
        };
        Ok(visit.client.send(message).await?)
    }

    async fn talk(&mut self, visit: &mut Visit) -> Result<(), RequestError> {
        Report::add(&self.plan.report.lines, 1);
        let line = if self.chance.percent(20) { "/users".into() } else { format!("{} notes", visit.ear.notes) };
        visit.client.chat(&line).await.map(drop)
    }

    async fn ask(&mut self, visit: &mut Visit) -> Result<(), RequestError> {
        let question = if visit.is_settled() && self.chance.percent(50) {
            Message::GetMembers(GetMembers::default())
        } else {
            Message::ListRooms(ListRooms::default())
        };
        visit.client.request(question).await.map(drop)
    }

    fn some_room(&mut self) -> usize {
        self.chance.below(self.plan.rooms.len() as u64) as usize
    }
}
