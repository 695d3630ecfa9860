//! Those who listen from before the first note until after the last: one in each room.

use std::sync::Arc;

use pianorhythm_client::{
    Client, Closed, Events, RequestError,
    protocol::wire::{CreateRoomCommand, RoomSettings, client_message::Message},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{ear::Ear, player::Plan, report::Report};

/// A listener and its task.
pub struct Listener {
    client: Client,
    /// How many others are in the room.
    pub company: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Makes the room, large enough for all, and listens.
    pub async fn arrive(plan: Arc<Plan>, room: String) -> Result<Self, Box<dyn std::error::Error>> {
        let (client, events) = Client::builder(&plan.url).name("audience").connect().await?;
        let settings = Some(RoomSettings { max_users: Some(100), ..RoomSettings::default() });
        let create = CreateRoomCommand { room_name: room.clone(), settings, ..CreateRoomCommand::default() };
        let joined = match client.create_room(create).await {
            // Left by a run before on the same data.
            Err(RequestError::Refused(refusal)) if refusal.message.error_code == "ROOM_EXISTS" => {
                client.join(&room, "").await?
            }
            made => made?,
        };
        let mut ear = Ear::default();
        ear.take(&Message::RoomJoinedResponse(joined))?;
        let (told, company) = watch::channel(0);
        let task = tokio::spawn(listen(plan, format!("audience of {room}"), ear, events, told));
        Ok(Self { client, company, task })
    }

    /// Goes home.
    pub async fn leave(self) -> Closed {
        let closed = self.client.close().await;
        // Ends with the connection.
        let _ = self.task.await;
        closed
    }
}

async fn listen(plan: Arc<Plan>, who: String, mut ear: Ear, mut events: Events, company: watch::Sender<usize>) {
    let closed = loop {
        match events.next().await {
            Ok(event) => {
                if let Err(fault) = ear.take(&event.message) {
                    plan.report.fault(&who, fault);
                }
                if let Message::ErrorMessage(error) = &event.message {
                    plan.report.refused(&who, error);
                }
                company.send_replace(ear.company());
            }
            Err(closed) => break closed,
        }
    };
    if !closed.is_normal() {
        plan.report.fault(&who, closed);
    }
    Report::add(&plan.report.heard, ear.notes);
    Report::add(&plan.report.gaps, ear.gaps);
}
