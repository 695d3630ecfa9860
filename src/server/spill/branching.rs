//! What a branch's shard does: gives its members what their room sends, and sends the room what they say.

use bytes::Bytes;

use crate::{
    actor::life,
    domain::quota::CarriedQuota,
    net::outbox::{Class, Pushed},
    protocol::{
        close::CloseCode,
        codec::Format,
        ids::{ConnectionId, Participant},
        wire::{ServerMessage, server_message::Message, user_left_room::Reason},
    },
    server::{
        peer::{Destination, Goal, Joining},
        spill::{
            batch::{BranchKey, InwardItem, Outward, OutwardItem},
            branch::{Branch, BranchActor, BranchSeat},
        },
        stage::Stage,
        writing,
    },
};

/// A frame for all members but one, out of a batch's buffer.
struct Shared {
    except: Option<Participant>,
    class: Class,
    protobuf: Bytes,
    json: Bytes,
}

impl Stage {
    /// Makes a branch that lives here. Its actor is the caller's to make.
    pub(in crate::server) fn new_branch(&mut self, key: BranchKey) -> usize {
        let home = self.home_of(key.room.as_str());
        self.branches.insert(Branch::new(key, home))
    }

    /// The branch of this name, which is made where it is not there yet.
    fn branch_at(&mut self, key: &BranchKey) -> Option<usize> {
        if let Some(id) = self.branch_actors.find(key)
            && let Some(actor) = self.branch_actors.get(id)
        {
            return Some(actor.at);
        }
        let at = self.new_branch(key.clone());
        if let Err(error) = life::spawn_here::<BranchActor>(self, key.clone(), BranchActor::new(at)) {
            tracing::debug!(shard = self.number, room = %key.room, %error, "a branch came too late");
            self.branches.remove(at);
            return None;
        }
        Some(at)
    }

    /// A member's socket has come, or is gone where it should have come.
    pub(in crate::server) fn arrive_at_branch(
        &mut self,
        key: Option<usize>,
        branch: &BranchKey,
        participant: Participant,
    ) {
        let Some(at) = self.branch_at(branch) else {
            // Branches have ended, in a shutdown.
            return key.into_iter().for_each(|key| self.close(key, CloseCode::Restarting));
        };
        let Some(record) = self.branches.get_mut(at) else { return };
        if let Some(code) = record.over {
            return key.into_iter().for_each(|key| self.close(key, code));
        }
        record.arrive(participant, key);
        // Where home does not know the branch any more, it says so.
        record.say(
            participant,
            match key {
                Some(_) => InwardItem::Heard,
                None => InwardItem::Leave { reason: Reason::Disconnected, waits: false },
            },
        );
        if let Some(key) = key {
            self.peers[key].branch = Some(BranchSeat { branch: at, participant, is_recalled: false });
        }
        // A batch may have waited for it.
        self.go_through(at);
    }

    /// A batch from home.
    pub(in crate::server) fn take_outward(&mut self, at: usize, batch: Outward) {
        let Some(branch) = self.branches.get_mut(at) else { return };
        if branch.over.is_some() {
            return;
        }
        if batch.number != branch.next_outward() {
            // One is lost, with what it had for its members.
            return self.fail_branch(at);
        }
        branch.window.acknowledge(batch.heard);
        branch.waiting.push_back(batch);
        self.unblock(at);
        self.go_through(at);
    }

    /// Has a branch's members read again, where home has heard enough of what they had said.
    fn unblock(&mut self, at: usize) {
        let branch = &mut self.branches[at];
        if branch.is_blocked && branch.takes_input() {
            branch.is_blocked = false;
            for key in branch.sockets() {
                // What it has said meanwhile is read only now.
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.state.last_heard = self.now;
                }
                self.queue_read(key);
            }
        }
    }

    /// The end of a turn has made room for what was held up by how much one turn may say.
    pub(in crate::server) fn unblock_branches(&mut self) {
        for at in 0..self.branches.capacity() {
            if self.branches.get(at).is_some_and(|branch| branch.is_blocked) {
                self.unblock(at);
            }
        }
    }

    /// Does what the waiting batches say, up to one who is still on the way.
    fn go_through(&mut self, at: usize) {
        while let Some(branch) = self.branches.get_mut(at)
            && let Some(batch) = branch.waiting.pop_front()
        {
            let (mut item, mut offset) = branch.done;
            while item < batch.items.len() {
                let from = item;
                let run = shared_run(&batch, &mut item, &mut offset);
                if !run.is_empty() {
                    self.fan_out_at(at, &run);
                } else if self.do_item(at, &batch, item, &mut offset) {
                    item += 1;
                } else {
                    let branch = &mut self.branches[at];
                    branch.done = (from, offset);
                    branch.waiting.push_front(batch);
                    return;
                }
                if self.branches.get(at).is_none_or(|branch| branch.over.is_some()) {
                    return;
                }
            }
            let branch = &mut self.branches[at];
            branch.done = (0, 0);
            branch.window.heard = batch.number;
        }
    }

    /// Queues frames for a branch's members: all of them for one after the other, which touches each outbox once.
    fn fan_out_at(&mut self, at: usize, run: &[Shared]) {
        let (now, bounds) = (self.now, self.settings.outbox);
        let branch = &mut self.branches[at];
        let mut deliveries = 0;
        for member in branch.members().iter().filter(|member| !member.is_going) {
            let peer = &mut self.peers[member.key];
            for shared in run {
                if peer.closing.is_some() || peer.is_too_slow {
                    break;
                }
                let frame = match peer.format() {
                    Format::Protobuf => &shared.protobuf,
                    Format::Json => &shared.json,
                };
                if shared.except == Some(member.participant) || frame.is_empty() {
                    continue;
                }
                // What it is told to have missed is none of what is relayed.
                deliveries += u64::from(!matches!(shared.class, Class::Gap { .. }));
                if peer.wire.push(frame.clone(), shared.class, now, &bounds) == Pushed::Overflow {
                    peer.is_too_slow = true;
                    self.too_slow.push(member.key);
                }
            }
        }
        if !branch.is_gathering {
            branch.is_gathering = true;
            self.gather.add(writing::branch_token(at), branch.spoke_at, now);
        }
        branch.spoke_at = now;
        self.figures.deliveries.add(deliveries);
    }

    /// Does what is for one member. False where its socket has not come yet.
    fn do_item(&mut self, at: usize, batch: &Outward, item: usize, offset: &mut usize) -> bool {
        let key_of = |stage: &Self, participant| {
            let member = stage.branches[at].member(participant).filter(|member| !member.is_going);
            member.map(|member| member.key)
        };
        match batch.items[item] {
            OutwardItem::Enter(participant) => return self.branches[at].enter(participant),
            OutwardItem::All { .. } => {}
            OutwardItem::One { to, length, is_strike } => {
                let frame = take(batch, offset, length);
                if let Some(key) = key_of(self, to) {
                    self.guarded(key, |stage| {
                        stage.send_frame(key, frame, Class::Essential);
                        if is_strike {
                            stage.strike(key);
                        }
                    });
                }
            }
            OutwardItem::Ping(participant) => {
                self.branches[at].owes_word = true;
                if let Some(key) = key_of(self, participant) {
                    self.guarded(key, |stage| stage.ping(key));
                }
            }
            OutwardItem::Close(participant, code) => {
                // Also one that waits for a place at home.
                if let Some(member) = self.branches[at].member(participant) {
                    self.branches[at].remove(participant);
                    self.take_seat_away(member.key);
                    self.guarded(member.key, |stage| stage.close(member.key, code));
                }
            }
            OutwardItem::Left(participant, quota) => {
                if let Some(key) = key_of(self, participant) {
                    self.branches[at].remove(participant);
                    self.guarded(key, |stage| stage.has_left(key, quota));
                }
            }
            OutwardItem::Recall(participant) => {
                if let Some(key) = key_of(self, participant) {
                    self.guarded(key, |stage| stage.make_ready(key));
                }
            }
            OutwardItem::Come(participant) => {
                if let Some(key) = key_of(self, participant) {
                    self.branches[at].go(participant);
                    self.guarded(key, |stage| stage.go_home(key));
                }
            }
        }
        true
    }

    /// A connection sits nowhere any more, as its room has decided already.
    fn take_seat_away(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.branch = None;
            peer.wire.leave_room();
            self.mark_dirty(key);
        }
    }

    /// A member of a branch goes, whatever its room says.
    pub(in crate::server) fn leave_branch(&mut self, key: usize, seat: BranchSeat, reason: Reason) {
        if let Some(branch) = self.branches.get_mut(seat.branch) {
            branch.remove(seat.participant);
            branch.say(seat.participant, InwardItem::Leave { reason, waits: false });
        }
        self.take_seat_away(key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state.last_active = self.now;
        }
    }

    /// Asks the room of a member of a branch to let it go; its input is parked until it has.
    pub(in crate::server) fn ask_to_leave(&mut self, key: usize) {
        let Some(seat) = self.peers[key].branch else { return };
        if let Some(branch) = self.branches.get_mut(seat.branch) {
            branch.say(seat.participant, InwardItem::Leave { reason: Reason::Left, waits: true });
        }
    }

    /// The room has let a member go: it goes on where it wanted to.
    fn has_left(&mut self, key: usize, quota: CarriedQuota) {
        self.take_seat_away(key);
        let now = self.now;
        let state = &mut self.peers[key].state;
        (state.quota, state.last_active) = (quota, now);
        if let Some(joining) = &mut state.joining {
            joining.has_left = true;
        }
        match state.joining.as_ref().map(|joining| (joining.goal.clone(), joining.request_id)) {
            Some((Goal::Leaving { to: Some(room) }, _)) => self.granted(key, room),
            Some((Goal::Leaving { to: None }, request_id)) => {
                self.acknowledge(key, request_id);
                self.end_join(key, Ok(()));
            }
            _ => {}
        }
    }

    /// A member is called home: it says that it has said all, where it is not about to go elsewhere.
    fn make_ready(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if peer.is_parked() || peer.is_too_slow {
            return;
        }
        let Some(seat) = &mut peer.branch else { return };
        seat.is_recalled = true;
        let seat = *seat;
        self.branches[seat.branch].say(seat.participant, InwardItem::Ready);
    }

    /// Hands a member back to its room's shard, as soon as that has a place.
    fn go_home(&mut self, key: usize) {
        let Some(seat) = self.peers[key].branch else { return };
        let Some(branch) = self.branches.get_mut(seat.branch) else { return };
        let Some(slot) = self.core.reserve(branch.home) else {
            let connection = self.peers[key].id();
            return self.awaiting_home.push(connection);
        };
        branch.remove(seat.participant);
        let (home, branch) = (branch.home, branch.key.clone());
        self.peers[key].branch = None;
        self.send_off(key, slot, home, Destination::Home { branch, participant: seat.participant });
    }

    /// Tries again those that found no place at home.
    pub(in crate::server) fn retry_going_home(&mut self) {
        for connection in std::mem::take(&mut self.awaiting_home) {
            if let Some(key) = self.socket_of(connection)
                && self.is_going_home(key)
            {
                self.guarded(key, |stage| stage.go_home(key));
            }
        }
    }

    fn is_going_home(&self, key: usize) -> bool {
        let seat = self.peers.get(key).and_then(|peer| peer.branch);
        let member = seat.and_then(|seat| self.branches.get(seat.branch)?.member(seat.participant));
        member.is_some_and(|member| member.is_going)
    }

    /// Whether a connection's input is not read because a room elsewhere has not been through what there is already: that it is
    /// silent says nothing of it then.
    pub(in crate::server) fn waits_for_home(&self, key: usize) -> bool {
        let peer = &self.peers[key];
        let is_blocked = |seat: BranchSeat| self.branches.get(seat.branch).is_some_and(|branch| branch.is_blocked);
        let is_leaving = matches!(&peer.state.joining, Some(Joining { goal: Goal::Leaving { .. }, .. }));
        peer.branch.is_some_and(|seat| seat.is_recalled || is_leaving || is_blocked(seat))
    }

    /// Connections that wait for a place at home.
    pub(in crate::server) fn going_home(&self) -> Vec<ConnectionId> {
        let going = self.peers.iter().filter(|(key, _)| self.is_going_home(*key));
        going.map(|(_, peer)| peer.id()).collect()
    }

    /// Sends a request home that is for the room to decide, where the connection's room is elsewhere; gives it back otherwise.
    pub(in crate::server) fn forwarded(
        &mut self,
        key: usize,
        request_id: Option<u32>,
        message: Message,
    ) -> Option<Message> {
        let Some(seat) = self.peers[key].branch else { return Some(message) };
        let is_the_rooms = match &message {
            Message::MidiMessage(_)
            | Message::UpdateRoomCommand(_)
            | Message::RoomChatMessage(_)
            | Message::RoomChatServerCommand(_)
            | Message::RoomModeration(_)
            | Message::AvatarCommand(_)
            | Message::GetMembers(_) => true,
            Message::GetRoomInfo(question) => question.room_name.is_empty(),
            _ => false,
        };
        if !is_the_rooms {
            return Some(message);
        }
        let message = ServerMessage { message: Some(message), request_id, ..Default::default() };
        self.say_home(seat, InwardItem::Request(Box::new(message)));
        None
    }

    /// Says something to a room elsewhere.
    pub(in crate::server) fn say_home(&mut self, seat: BranchSeat, item: InwardItem) {
        if let Some(branch) = self.branches.get_mut(seat.branch) {
            branch.say(seat.participant, item);
        }
    }

    /// Leaves its room, and nothing more.
    pub(in crate::server) fn begin_leaving(&mut self, key: usize, request_id: Option<u32>) {
        let since = self.now;
        let goal = Goal::Leaving { to: None };
        self.peers[key].state.joining =
            Some(Joining { ticket: 0, request_id, since, goal, is_profile_changed: false, has_left: false });
        self.ask_to_leave(key);
    }

    /// A branch is over, by its room's word: its members are closed, and the room needs no news of that.
    pub(in crate::server) fn end_branch(&mut self, at: usize, code: CloseCode) {
        let Some(branch) = self.branches.get_mut(at) else { return };
        branch.over = Some(code);
        branch.waiting.clear();
        for key in branch.sockets() {
            if let Some(seat) = self.peers.get(key).and_then(|peer| peer.branch) {
                self.branches[at].remove(seat.participant);
            }
            self.take_seat_away(key);
            self.guarded(key, |stage| stage.close(key, code));
        }
    }

    /// A branch has failed: its members are closed, and its room is told.
    pub(in crate::server) fn fail_branch(&mut self, at: usize) {
        let Some(branch) = self.branches.get(at).filter(|branch| branch.over.is_none()) else { return };
        tracing::error!(room = %branch.key.room, "a branch of a room has failed; its members are closed");
        for key in branch.sockets() {
            self.guarded(key, |stage| stage.close(key, CloseCode::Internal));
        }
        let Some(branch) = self.branches.get_mut(at) else { return };
        let (home, key, last) = (branch.home, branch.key.clone(), branch.last_words(true));
        branch.over = Some(CloseCode::Internal);
        branch.waiting.clear();
        self.send_home(home, vec![(key, last)]);
    }

    /// A branch's actor has ended.
    pub(in crate::server) fn forget_branch(&mut self, at: usize, code: CloseCode) {
        self.end_branch(at, code);
        self.branches.try_remove(at);
    }
}

/// The frames for all from this item on, up to something that is for one.
fn shared_run(batch: &Outward, item: &mut usize, offset: &mut usize) -> Vec<Shared> {
    let mut run = Vec::new();
    while let Some(&OutwardItem::All { except, class, protobuf, json }) = batch.items.get(*item) {
        let (protobuf, json) = (take(batch, offset, protobuf), take(batch, offset, json));
        run.push(Shared { except, class, protobuf, json });
        *item += 1;
    }
    run
}

/// The next frame of a batch. A batch that says more than it has gives what there is.
fn take(batch: &Outward, offset: &mut usize, length: u32) -> Bytes {
    let from = (*offset).min(batch.frames.len());
    *offset = (from + length as usize).min(batch.frames.len());
    batch.frames.slice(from..*offset)
}
