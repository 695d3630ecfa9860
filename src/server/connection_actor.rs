//! The actor of a connection: its address on the shard that has its socket. What there is of the connection itself is a
//! record in the shard's table of sockets, where its room writes to it.

use crate::{
    actor::{
        actor::{Actor, Farewell, Handled, Intercepted, Undelivered},
        context::Context,
        envelope::Envelope,
        monitor::Cause,
    },
    protocol::{close::CloseCode, ids::ConnectionId},
    server::{
        message::{Action, ConnectionMessage, SeatAnswer},
        stage::Stage,
    },
};

/// A connection's actor.
#[derive(Debug)]
pub struct Connection {
    /// Its place in the shard's table of sockets.
    pub key: usize,
}

impl Actor for Connection {
    const KIND: &'static str = "connection";

    type World = Stage;
    type Key = ConnectionId;
    type Message = ConnectionMessage;
    type Reply = ();
    type Error = std::convert::Infallible;

    fn handle(&mut self, message: ConnectionMessage, cx: &mut Context<'_, Self>) -> Handled<Self::Error> {
        let stage = &mut *cx.world;
        stage.now = stage.clock.now();
        #[cfg(feature = "faults")]
        crate::domain::fault::seldom();
        match message {
            ConnectionMessage::Act { action, .. } => stage.act(self.key, action),
            ConnectionMessage::Answered { message, .. } => stage.act(self.key, Action::Deliver(message)),
            ConnectionMessage::Seat(answer) => stage.take_seat_answer(self.key, *answer),
            ConnectionMessage::LobbyPicked { ticket, number } => stage.lobby_picked(self.key, ticket, number),
        }
        Ok(())
    }

    /// It is told when to come back; it has ended when its socket is gone.
    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        cx.world.close(self.key, CloseCode::Restarting);
        Farewell::Later
    }

    /// One whose handler has failed is closed: what it was in the middle of is not known.
    fn recovered(&mut self, cx: &mut Context<'_, Self>) {
        cx.world.restore_buffers();
        cx.world.figures.panics.add(1);
        cx.world.close(self.key, CloseCode::Internal);
    }

    /// Closing it fails, too: it is taken out as it is.
    fn lost(world: &mut Stage, _: Option<&ConnectionId>, value: Option<Box<Self>>, _: &Cause) {
        world.restore_buffers();
        if let Some(actor) = value {
            world.forget(actor.key);
        }
    }

    /// It has moved, or ended: its user's actor knows more.
    fn intercept(world: &mut Stage, key: &ConnectionId, envelope: Envelope<Self>) -> Intercepted<Self> {
        match envelope.message {
            ConnectionMessage::Act { user, action } => world.pursue(*key, user, action),
            ConnectionMessage::Seat(answer) => {
                let SeatAnswer { room, result, .. } = *answer;
                if result.is_ok() {
                    world.release_seat(&room, *key);
                }
            }
            ConnectionMessage::LobbyPicked { .. } => {}
            ConnectionMessage::Answered { reply, message } => {
                world.pursue(reply.connection, reply.user, Action::Deliver(message));
            }
        }
        Intercepted::Taken
    }

    /// What it had asked for when it was here.
    fn undelivered(world: &mut Stage, _: Option<&ConnectionId>, message: ConnectionMessage, _: &Undelivered<Self>) {
        if let ConnectionMessage::Answered { reply, message } = message {
            world.pursue(reply.connection, reply.user, Action::Deliver(message));
        }
    }
}
