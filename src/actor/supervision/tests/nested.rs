//! A supervisor that is another one's child: the machines are composed as a driver would.

use super::*;
use ChildState::{Down, Running};
use Strategy::{OneForAll, OneForOne};

/// What reached the workers, and whether the outer supervisor has ended.
#[derive(Debug, PartialEq)]
enum Seen {
    Start(Id),
    Stop(Id),
    Ready,
    Finished(Ended),
}

/// An outer supervisor over `inner`, a supervisor of workers "x" and "y", and a worker "z". Workers obey at once.
struct Tree {
    outer: Supervisor<Id>,
    inner: Option<Supervisor<Id>>,
    inner_spec: SupervisorSpec,
    refuses: bool,
    now: Moment,
    seen: Vec<Seen>,
}

impl Tree {
    fn start(outer: SupervisorSpec, inner_spec: SupervisorSpec) -> Self {
        let mut tree = Self {
            outer: Supervisor::new(outer),
            inner: None,
            inner_spec,
            refuses: false,
            now: at(0),
            seen: Vec::new(),
        };
        let mut out = Vec::new();
        tree.outer.add_child(stopping("inner", StopLimit::Unlimited), tree.now, &mut out).unwrap();
        tree.outer.add_child(child("z"), tree.now, &mut out).unwrap();
        tree.outer.start(tree.now, &mut out);
        tree.outer_effects(out);
        tree
    }

    fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    fn fail(&mut self, id: Id) {
        let how = Ended::Failed("boom".into());
        if id == "z" { self.outer_ended(id, how) } else { self.inner_ended(id, how) }
    }

    fn stop(&mut self) {
        let mut out = Vec::new();
        self.outer.stop(self.now, &mut out);
        self.outer_effects(out);
    }

    fn outer_ended(&mut self, id: Id, how: Ended) {
        let mut out = Vec::new();
        self.outer.ended(&id, how, self.now, MIDDLE, &mut out);
        self.outer_effects(out);
    }

    fn inner_ended(&mut self, id: Id, how: Ended) {
        let mut out = Vec::new();
        self.inner.as_mut().unwrap().ended(&id, how, self.now, MIDDLE, &mut out);
        self.inner_effects(out);
    }

    fn outer_effects(&mut self, effects: Vec<Effect<Id>>) {
        for effect in effects {
            let mut out = Vec::new();
            match effect {
                Effect::Start("inner") => {
                    let mut inner = Supervisor::new(self.inner_spec);
                    for id in ["x", "y"] {
                        inner.add_child(child(id), self.now, &mut out).unwrap();
                    }
                    inner.start(self.now, &mut out);
                    assert!(self.inner.replace(inner).is_none(), "one instance at a time");
                    self.inner_effects(out);
                }
                Effect::Stop { child: "inner", limit } => {
                    assert_eq!(limit, StopLimit::Unlimited);
                    self.inner.as_mut().unwrap().stop(self.now, &mut out);
                    self.inner_effects(out);
                }
                Effect::Start(id) => {
                    self.seen.push(Seen::Start(id));
                    self.outer.started(&id, Ok(()), self.now, MIDDLE, &mut out);
                    self.outer_effects(out);
                }
                Effect::Stop { child, .. } => {
                    self.seen.push(Seen::Stop(child));
                    self.outer_ended(child, Ended::Shutdown);
                }
                Effect::Kill(id) => panic!("{id} is never late"),
                Effect::Ready => self.seen.push(Seen::Ready),
                Effect::Finished(how) => self.seen.push(Seen::Finished(how)),
            }
        }
    }

    fn inner_effects(&mut self, effects: Vec<Effect<Id>>) {
        for effect in effects {
            let mut out = Vec::new();
            match effect {
                Effect::Start(id) => {
                    self.seen.push(Seen::Start(id));
                    let result = if self.refuses && id == "y" { Err("no luck".into()) } else { Ok(()) };
                    self.inner.as_mut().unwrap().started(&id, result, self.now, MIDDLE, &mut out);
                    self.inner_effects(out);
                }
                Effect::Stop { child, .. } => {
                    self.seen.push(Seen::Stop(child));
                    self.inner_ended(child, Ended::Shutdown);
                }
                Effect::Kill(id) => panic!("{id} is never late"),
                Effect::Ready => {
                    self.outer.started(&"inner", Ok(()), self.now, MIDDLE, &mut out);
                    self.outer_effects(out);
                }
                Effect::Finished(how) => {
                    self.inner = None;
                    self.outer_ended("inner", how);
                }
            }
        }
    }
}

use Seen::{Finished, Ready, Start, Stop};

fn never(strategy: Strategy) -> SupervisorSpec {
    SupervisorSpec { intensity: Intensity { restarts: 0, within: ms(1000) }, ..spec(strategy) }
}

#[test]
fn a_tree_starts_depth_first_and_stops_in_reverse() {
    let mut tree = Tree::start(spec(OneForOne), spec(OneForOne));
    assert_eq!(tree.take_seen(), [Start("x"), Start("y"), Start("z"), Ready]);
    tree.stop();
    assert_eq!(tree.take_seen(), [Stop("z"), Stop("y"), Stop("x"), Finished(Ended::Shutdown)]);
}

#[test]
fn a_failure_below_stays_there_while_it_is_bearable() {
    let mut tree = Tree::start(spec(OneForAll), spec(OneForOne));
    tree.take_seen();
    tree.fail("x");
    assert_eq!(tree.take_seen(), [Start("x")]);
    assert_eq!(tree.outer.restarts(), 0);
}

#[test]
fn an_escalation_is_handled_by_the_outer_supervisor() {
    let mut tree = Tree::start(spec(OneForAll), never(OneForOne));
    tree.take_seen();
    tree.fail("x");
    assert_eq!(tree.take_seen(), [Stop("y"), Stop("z"), Start("x"), Start("y"), Start("z")]);
    assert_eq!(tree.outer.restarts(), 1);
    assert_eq!(tree.inner.as_ref().unwrap().restarts(), 0, "it is a new one");
    let states: Vec<_> = tree.outer.children().map(|child| child.state).collect();
    assert_eq!(states, [Running, Running]);
}

#[test]
fn an_escalation_climbs_until_somebody_bears_it() {
    let mut tree = Tree::start(never(OneForOne), never(OneForOne));
    tree.take_seen();
    tree.fail("y");
    let cause = "more than 0 restarts within 1s: \"inner\" failed: more than 0 restarts within 1s: \"y\" failed: boom";
    assert_eq!(tree.take_seen(), [Stop("x"), Stop("z"), Finished(Ended::Failed(cause.into()))]);
    let states: Vec<_> = tree.outer.children().map(|child| child.state).collect();
    assert_eq!(states, [Down, Down]);
}

#[test]
fn a_nested_supervisor_that_can_not_start_again_is_tried_again_and_counted() {
    let mut tree = Tree::start(spec(OneForOne), never(OneForOne));
    tree.take_seen();
    tree.refuses = true;
    tree.fail("x");
    let attempt = [Start("x"), Start("y"), Stop("x")];
    let mut seen = tree.take_seen().into_iter();
    assert_eq!(seen.next(), Some(Stop("y")));
    let seen: Vec<_> = seen.collect();
    assert_eq!(seen[..3], attempt);
    assert_eq!(seen[3..6], attempt);
    assert_eq!(seen[6], Stop("z"));
    let cause = "more than 2 restarts within 3600s: \"inner\" failed: \"y\" did not start: no luck";
    assert_eq!(seen[7..], [Finished(Ended::Failed(cause.into()))]);
    assert_eq!(tree.outer.restarts(), 2);
}
