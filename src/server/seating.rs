//! Changing rooms, from the room's side: considering who may enter, with or without a password, and holding seats.
//!
//! Nothing here takes a connection in: that is [`Stage::sit_down`], when it has arrived.

use crate::{
    actor::context::Context,
    domain::room::{PasswordChange, PasswordProof, SeatOutcome, SeatRequest},
    protocol::{
        error::{ErrorCode, Rejection},
        ids::Participant,
        wire::{ClientMessage, UpdateRoomCommand},
    },
    server::{
        message::{PasswordOutcome, ReplyTo, RoomMessage, SeatAsk, Waiting, Wish},
        password_desk::PasswordMessage,
        room_actor::RoomActor,
        stage::Stage,
    },
};

impl RoomActor {
    /// A room considers a wish. `verified` is the hash that the asker's password was found to fit.
    pub(super) fn consider(&mut self, ask: Box<SeatAsk>, verified: Option<String>, cx: &mut Context<'_, Self>) {
        let (id, now) = (cx.id(), cx.world.now);
        let Some(cell) = self.cell_mut() else { return };
        // Who has made it and could not sit down, because the room failed or its shard was busy, asks once more.
        let by_right = matches!(ask.wish, Wish::Create(_)) && cell.made_for.as_ref() == Some(&ask.profile.user_id);
        let verified = if by_right { cell.room.password_hash().map(str::to_owned) } else { verified };
        let (proof, password) = match (&ask.wish, verified) {
            (Wish::Create(_), _) if !by_right => {
                let message = "a room of that name exists: join it, or choose another name";
                return cx.world.refuse_seat(&ask.asker, Rejection::new(ErrorCode::RoomExists, message));
            }
            (_, Some(hash)) => (PasswordProof::Verified { hash }, None),
            (Wish::Join { password: Some(password), .. }, None) => (PasswordProof::Unverified, Some(password.clone())),
            (Wish::Join { password: None, .. } | Wish::Lobby(_) | Wish::Create(_), None) => {
                (PasswordProof::Absent, None)
            }
        };
        let request =
            SeatRequest { connection: ask.asker.connection, profile: &ask.profile, address: ask.address, proof };
        match cell.attempt(|room| room.reserve(request, now)) {
            Ok(SeatOutcome::Held { until }) => {
                cell.held_until = cell.held_until.max(until);
                cx.world.answer_seat(&ask.asker, Ok(()));
            }
            Ok(SeatOutcome::NeedsPassword { hash }) => match password {
                Some(password) => {
                    cell.passwords += 1;
                    cx.world.ask_password(id, Waiting::Seat(ask), PasswordMessage::Check { password, hash });
                }
                // The password was changed while the old one was checked.
                None => cx.world.refuse_seat(&ask.asker, wrong_password()),
            },
            Err(rejection) => cx.world.refuse_seat(&ask.asker, rejection),
        }
    }

    /// A password was hashed or checked for a room that is there.
    pub(super) fn password_done(&mut self, waiting: Waiting, outcome: PasswordOutcome, cx: &mut Context<'_, Self>) {
        if let Some(cell) = self.cell_mut() {
            cell.passwords = cell.passwords.saturating_sub(1);
        }
        match (waiting, outcome) {
            (Waiting::Seat(ask), PasswordOutcome::Checked { hash, right: true }) => self.consider(ask, Some(hash), cx),
            (Waiting::Seat(ask), PasswordOutcome::Checked { right: false, .. }) => {
                cx.world.refuse_seat(&ask.asker, wrong_password());
            }
            // It is there by now: as one who asks afresh.
            (Waiting::Seat(ask), PasswordOutcome::Hashed(_)) => self.consider(ask, None, cx),
            (Waiting::Seat(ask), PasswordOutcome::Failed(rejection)) => cx.world.refuse_seat(&ask.asker, rejection),
            (Waiting::Update { reply, command }, outcome) => self.update_with_password(reply, &command, outcome, cx),
        }
    }

    fn update_with_password(
        &mut self,
        reply: ReplyTo,
        command: &UpdateRoomCommand,
        outcome: PasswordOutcome,
        cx: &mut Context<'_, Self>,
    ) {
        let (id, now) = (cx.id(), cx.world.now);
        let member: Option<Participant> = self.cell().and_then(|cell| cell.room.participant_of(reply.connection));
        let result = match (outcome, self.cell_mut(), member) {
            (PasswordOutcome::Failed(rejection), _, _) => Err(rejection),
            (PasswordOutcome::Hashed(hash), Some(cell), Some(participant)) => {
                let mut effects = Vec::new();
                let password = PasswordChange::Set { hash };
                let result = cell
                    .attempt(|room| room.update((participant, reply.request_id), command, password, now, &mut effects));
                cx.world.perform(id, cell, &mut effects);
                result
            }
            _ => Err(Rejection::new(ErrorCode::NotInRoom, "you have left the room meanwhile: nothing was changed")),
        };
        if let Err(rejection) = result {
            let message = ClientMessage::rejection(reply.request_id, rejection);
            cx.world.reply(reply, message);
        }
    }
}

impl Stage {
    /// A password was hashed or checked for a room that is not there any more.
    pub(super) fn password_for_nobody(&mut self, waiting: Waiting, outcome: PasswordOutcome) {
        match (waiting, outcome) {
            (Waiting::Seat(ask), PasswordOutcome::Failed(rejection)) => self.refuse_seat(&ask.asker, rejection),
            (Waiting::Seat(ask), PasswordOutcome::Checked { right: false, .. }) => {
                self.refuse_seat(&ask.asker, wrong_password());
            }
            // It begins again.
            (Waiting::Seat(ask), PasswordOutcome::Checked { .. } | PasswordOutcome::Hashed(_)) => {
                let room = ask.asker.room.clone();
                self.tell_room(&room, RoomMessage::Seat(ask));
            }
            (Waiting::Update { reply, .. }, _) => {
                let rejection =
                    Rejection::new(ErrorCode::NotInRoom, "you have left the room meanwhile: nothing was changed");
                let message = ClientMessage::rejection(reply.request_id, rejection);
                self.reply(reply, message);
            }
        }
    }
}

fn wrong_password() -> Rejection {
    Rejection::new(ErrorCode::WrongPassword, "that is not the room's password")
}
