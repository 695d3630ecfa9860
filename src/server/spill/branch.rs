//! A branch as its shard knows it: which sockets its members have, what it owes its room; and its actor.
//!
//! The actor is an address: what there is of a branch is a record in its shard's table of branches, as a connection's is in that
//! of sockets, so that a handler may do anything with its members, closing them included.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use crate::{
    actor::{
        actor::{Actor, Farewell, Handled},
        context::Context,
        key::Key,
        monitor::Cause,
    },
    domain::defect::{Defect, is_planted},
    protocol::{
        close::CloseCode,
        ids::{Participant, RoomKey},
        time::Timestamp,
    },
    server::{
        spill::{
            batch::{BranchKey, Inward, InwardItem, Outward},
            line::Window,
        },
        stage::Stage,
    },
};

/// What one turn says home at most; past it the members' input waits for the next.
pub const INWARD_MAX: usize = 4096;

impl Key for BranchKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} #{:x}", self.room, self.life))
    }

    fn parse(text: &str) -> Option<Self> {
        let (room, life) = text.rsplit_once(" #")?;
        Some(Self { room: RoomKey::from_normalised(room), life: u64::from_str_radix(life, 16).ok()? })
    }
}

/// Where a member sits that is away from its room's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchSeat {
    /// The branch's place in the shard's table of branches.
    pub branch: usize,
    /// Its number in the room.
    pub participant: Participant,
    /// It was called back, and its input is parked.
    pub is_recalled: bool,
}

/// A member of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchMember {
    /// Its number in the room.
    pub participant: Participant,
    /// Its place in the shard's table of sockets.
    pub key: usize,
    /// It waits for a place at home: nothing more is for it here.
    pub is_going: bool,
}

/// A branch of a room that lives on another shard.
#[derive(Debug)]
pub struct Branch {
    /// Which.
    pub key: BranchKey,
    /// Its room's shard.
    pub home: usize,
    /// Its members, by participant.
    members: Vec<BranchMember>,
    /// Those whose socket has come before the batch that lets them in; without a socket, where that has gone since.
    arrived: HashMap<Participant, Option<usize>>,
    /// Batches that wait for a socket, and how many items of the first, and bytes, have been handled.
    pub(super) waiting: VecDeque<Outward>,
    pub(super) done: (usize, usize),
    /// What it says home at the end of the turn.
    inward: Vec<(Participant, InwardItem)>,
    /// Batches sent and heard.
    pub window: Window,
    /// It was asked whether a member is there: that the branch itself is, it says at once.
    pub owes_word: bool,
    /// Its members' input waits until home has heard more.
    pub is_blocked: bool,
    /// It has frames that wait for its gathering to end, and when it last had any.
    pub is_gathering: bool,
    /// When it last had something for its members.
    pub spoke_at: Timestamp,
    /// It is no more, and who still comes is closed with this.
    pub over: Option<CloseCode>,
}

impl Branch {
    /// A branch without members.
    pub fn new(key: BranchKey, home: usize) -> Self {
        Self {
            key,
            home,
            members: Vec::new(),
            arrived: HashMap::new(),
            waiting: VecDeque::new(),
            done: (0, 0),
            inward: Vec::new(),
            window: Window::default(),
            owes_word: false,
            is_blocked: false,
            is_gathering: false,
            spoke_at: Timestamp::default(),
            over: None,
        }
    }

    /// Its members, by participant.
    pub fn members(&self) -> &[BranchMember] {
        &self.members
    }

    /// The sockets of all who are here, let in or not.
    pub fn sockets(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.key).chain(self.arrived.values().copied().flatten()).collect()
    }

    /// A member that has been let in.
    pub fn member(&self, participant: Participant) -> Option<BranchMember> {
        Some(self.members[self.index(participant).ok()?])
    }

    /// A socket has come, or is known not to come any more.
    pub fn arrive(&mut self, participant: Participant, key: Option<usize>) {
        self.arrived.insert(participant, key);
    }

    /// Lets a member in; false where its socket has not come yet.
    pub fn enter(&mut self, participant: Participant) -> bool {
        let Some(key) = self.arrived.remove(&participant) else { return false };
        if let Some(key) = key
            && let Err(at) = self.index(participant)
        {
            self.members.insert(at, BranchMember { participant, key, is_going: false });
        }
        true
    }

    /// Takes a member out, let in or not.
    pub fn remove(&mut self, participant: Participant) {
        match self.index(participant) {
            Ok(at) => {
                self.members.remove(at);
            }
            Err(_) => {
                if let Some(key) = self.arrived.get_mut(&participant) {
                    *key = None;
                }
            }
        }
    }

    /// A member gets nothing more here.
    pub fn go(&mut self, participant: Participant) {
        if let Ok(at) = self.index(participant) {
            self.members[at].is_going = true;
        }
    }

    /// Says something home. That somebody is there goes without saying where it has just said something.
    pub fn say(&mut self, participant: Participant, item: InwardItem) {
        if item == InwardItem::Ready && is_planted(Defect::LoseSaidAtRecall) {
            self.inward.retain(|(of, _)| *of != participant);
        }
        let is_said = self.inward.last().is_some_and(|(last, _)| *last == participant);
        if self.over.is_none() && !(is_said && item == InwardItem::Heard) {
            self.inward.push((participant, item));
        }
    }

    /// Its members may say something that has to go home.
    pub fn takes_input(&self) -> bool {
        self.window.is_open() && self.inward.len() < INWARD_MAX && self.over.is_none()
    }

    /// What it has to say, and batches that wait for a socket.
    #[cfg(feature = "simulation")]
    pub fn backlog(&self) -> (usize, usize) {
        (self.inward.len(), self.waiting.len())
    }

    /// The next batch, where there is something to say and home keeps up.
    pub fn seal(&mut self) -> Option<Inward> {
        let is_due = !self.inward.is_empty() || self.window.is_due() || self.owes_word;
        if self.over.is_some() || !is_due || !self.window.is_open() {
            return None;
        }
        Some(self.last_words(false))
    }

    /// All it has to say, whatever its window.
    pub fn last_words(&mut self, is_over: bool) -> Inward {
        self.owes_word = false;
        let (number, heard) = self.window.advance();
        Inward { number, heard, items: std::mem::take(&mut self.inward), is_over }
    }

    /// The number of the batch that is to come from home.
    pub(super) fn next_outward(&self) -> u64 {
        self.window.heard + self.waiting.len() as u64 + 1
    }

    fn index(&self, participant: Participant) -> Result<usize, usize> {
        self.members.binary_search_by_key(&participant, |member| member.participant)
    }
}

/// To a branch.
#[derive(Debug)]
pub enum BranchMessage {
    /// What its members are to get.
    Outward(Box<Outward>),
    /// Its room, or what it has with it, is no more: its members are closed.
    Over(CloseCode),
}

/// A branch's actor.
#[derive(Debug)]
pub struct BranchActor {
    /// Its place in the shard's table of branches.
    pub at: usize,
    /// It waits for nothing but to be forgotten, when nobody can be on the way to it any more.
    is_over: bool,
}

impl BranchActor {
    /// The actor of a branch.
    pub fn new(at: usize) -> Self {
        Self { at, is_over: false }
    }
}

impl Actor for BranchActor {
    const KIND: &'static str = "branch";

    type World = Stage;
    type Key = BranchKey;
    type Message = BranchMessage;
    type Reply = ();
    type Error = std::convert::Infallible;

    fn handle(&mut self, message: BranchMessage, cx: &mut Context<'_, Self>) -> Handled<Self::Error> {
        let stage = &mut *cx.world;
        stage.now = stage.clock.now();
        #[cfg(feature = "faults")]
        crate::domain::fault::seldom();
        match message {
            BranchMessage::Outward(batch) => stage.take_outward(self.at, *batch),
            BranchMessage::Over(code) => {
                stage.end_branch(self.at, code);
                self.is_over = true;
            }
        }
        Ok(())
    }

    /// What it was in the middle of is not known: who has got which frame.
    fn recovered(&mut self, cx: &mut Context<'_, Self>) {
        cx.world.restore_buffers();
        cx.world.figures.panics.add(1);
        cx.world.fail_branch(self.at);
        self.is_over = true;
    }

    fn may_retire(&self) -> bool {
        self.is_over
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        cx.world.forget_branch(self.at, CloseCode::Restarting);
        Farewell::Done
    }

    fn lost(world: &mut Stage, _: Option<&BranchKey>, value: Option<Box<Self>>, _: &Cause) {
        if let Some(actor) = value {
            world.fail_branch(actor.at);
            world.forget_branch(actor.at, CloseCode::Internal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Participant = Participant(1);

    fn branch() -> Branch {
        Branch::new(BranchKey { room: RoomKey::from_normalised("concert"), life: 0x1f }, 0)
    }

    #[test]
    fn a_branch_s_key_comes_back_from_what_operators_read() {
        let key = BranchKey { room: RoomKey::from_normalised("hall #2"), life: 0x1f };
        assert_eq!(key.text(), "hall #2 #1f");
        assert_eq!(BranchKey::parse(&key.text()), Some(key));
        assert_eq!(BranchKey::parse("hall"), None);
    }

    #[test]
    fn who_is_let_in_has_arrived_and_who_has_gone_meanwhile_is_not() {
        let mut branch = branch();
        assert!(!branch.enter(ONE), "its socket is on the way");
        branch.arrive(ONE, Some(4));
        assert!(branch.enter(ONE));
        assert_eq!(branch.member(ONE).unwrap().key, 4);
        let two = Participant(2);
        branch.arrive(two, Some(5));
        branch.remove(two);
        assert!(branch.enter(two), "it will not come");
        assert_eq!(branch.sockets(), [4]);
    }

    #[test]
    fn that_one_is_there_goes_without_saying_behind_what_it_has_said() {
        let mut branch = branch();
        branch.say(ONE, InwardItem::Ready);
        branch.say(ONE, InwardItem::Heard);
        branch.say(Participant(2), InwardItem::Heard);
        branch.say(Participant(2), InwardItem::Heard);
        assert_eq!(branch.seal().unwrap().items.len(), 2);
        assert!(branch.seal().is_none());
    }
}
