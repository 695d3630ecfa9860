//! What can be seen of actors at run time, as JSON. The shapes are those that the operators' page relies on.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};

use crate::actor::{
    actor::Actor,
    core::Core,
    envelope::ActorId,
    key::Key as _,
    mesh::Lane,
    moment::Moment,
    parcel::{HostEntry, Parcel},
    remote::Remote,
    sleep::timeout,
    table::{Phase, Table},
    tree,
    world::{Hosts, World},
};

/// Deepest mailboxes and stuck actors told of one kind.
const TOLD: usize = 8;

/// What a kind adds to its host's report.
pub(crate) struct KindPart {
    deepest: Vec<(usize, Value)>,
    stuck: Vec<Value>,
}

/// `kind/key` of an actor.
pub(crate) fn name<A: Actor>(table: &Table<A>, id: ActorId) -> Option<String> {
    let cell = table.cell(id)?;
    Some(match &cell.key {
        Some(key) => format!("{}/{}", A::KIND, key.text()),
        None => format!("{}/#{id}", A::KIND),
    })
}

/// Looks a kind through: costs a walk over its table, so it is done when it is asked for.
pub(crate) fn kind<A: Actor>(world: &mut A::World) -> KindPart {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let mut deepest: Vec<(usize, u32)> = table
        .cells
        .iter()
        .filter(|(_, cell)| !cell.mailbox.is_empty())
        .map(|(slot, cell)| (cell.mailbox.len(), slot as u32))
        .collect();
    deepest.sort_unstable_by(|one, other| other.cmp(one));
    deepest.truncate(TOLD);
    let deepest = deepest.into_iter().map(|(depth, slot)| {
        let state = table.cells[slot as usize].phase.as_str();
        (depth, json!({ "actor": name(table, table.id(slot)), "depth": depth, "state": state }))
    });
    let deepest = deepest.collect();
    let limit = table.settings.handling_limit;
    let mut stuck = Vec::new();
    let mut count = 0;
    for (slot, cell) in &table.cells {
        let waits = matches!(cell.phase, Phase::Loading | Phase::Ending { .. });
        if waits && now.since(cell.since) > limit {
            count += 1;
            if stuck.len() < TOLD {
                let for_ms = now.since(cell.since).as_millis() as u64;
                let actor = name(table, table.id(slot as u32));
                stuck.push(json!({ "actor": actor, "what": cell.phase.as_str(), "for_ms": for_ms }));
            }
        }
    }
    table.figures.stuck.set(count);
    KindPart { deepest, stuck }
}

/// One actor, by the text of its key.
pub(crate) fn one<A: Actor>(world: &mut A::World, key: &str) -> Option<Value> {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let id = table.find(&A::Key::parse(key)?)?;
    let cell = table.cell(id)?;
    let counts = cell.counts;
    Some(json!({
        "actor": name(table, id),
        "id": id.to_string(),
        "host": id.host,
        "state": cell.phase.as_str(),
        "for_ms": now.since(cell.since).as_millis() as u64,
        "idle_ms": now.since(cell.last_active).as_millis() as u64,
        "depth": cell.mailbox.len(),
        "stashed": cell.extras.as_ref().map_or(0, |extras| extras.stash.len()),
        "processed": counts.processed,
        "errors": counts.errors,
        "restarts": counts.restarts,
        "busy_us": counts.busy_ns as f64 / 1000.0,
        "watchers": cell.extras.as_ref().map_or(0, |extras| extras.watchers.len()),
    }))
}

/// A host's own report.
pub fn of_host<W: World>(world: &mut W) -> Value {
    let (mut deepest, mut stuck) = (Vec::new(), Vec::new());
    for kind in 0..world.core().kinds.len() {
        let ops = world.core().kinds[kind].ops;
        let part = ops.report(world);
        deepest.extend(part.deepest);
        stuck.extend(part.stuck);
    }
    deepest.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    deepest.truncate(TOLD);
    let tree = tree::report(world);
    let core: &mut Core<W> = world.core();
    let mut report = known(&core.post.registry.hosts()[core.host()], core.host(), core.now);
    report["inbox"] = core.post.mesh.shard(core.host()).depth().into();
    report["answers"] = true.into();
    report["lost"] = core.outbox.lost.into();
    report["events_dropped"] = core.outbox.dropped.into();
    report["tree"] = tree;
    report["deepest"] = deepest.into_iter().map(|(_, told)| told).collect();
    report["stuck"] = stuck.into();
    report
}

/// What is known of a host without asking it.
fn known(entry: &HostEntry, host: usize, now: Moment) -> Value {
    let heartbeat = Moment::from_ns(entry.heartbeat.load(Ordering::Relaxed));
    let running = entry.running.seen(now).map(|seen| {
        let kind = entry.kinds.get(usize::from(seen.kind)).map_or("?", |(name, _)| *name);
        json!({
            "actor": format!("{kind}/{}", seen.key),
            "for_ms": now.since(seen.since).as_millis() as u64,
            "stuck": seen.is_stuck,
        })
    });
    let kinds: Vec<Value> = entry
        .kinds
        .iter()
        .map(|(name, figures)| {
            let mut kind = figures.to_json();
            kind["kind"] = (*name).into();
            kind
        })
        .collect();
    json!({
        "host": host,
        "name": *entry.name,
        "executor": entry.executor,
        "answers": false,
        "heartbeat_age_ms": now.since(heartbeat).as_millis() as u64,
        "running": running,
        "kinds": kinds,
        "tree": null,
        "deepest": [],
        "stuck": [],
    })
}

/// Actors that have handled one message for longer than their kind may, seen from outside.
pub fn stuck(remote: &Remote) -> Vec<String> {
    let now = remote.clock().now();
    let seen = remote.post().registry.hosts().iter().filter_map(|entry| {
        let seen = entry.running.seen(now).filter(|seen| seen.is_stuck)?;
        let kind = entry.kinds.get(usize::from(seen.kind)).map_or("?", |(name, _)| *name);
        Some(format!("{kind}/{} on {} for {:?}", seen.key, entry.name, now.since(seen.since)))
    });
    seen.collect()
}

/// All hosts' reports, by number.
pub(crate) async fn of_all(remote: &Remote, within: Duration) -> Value {
    let hosts = remote.post().registry.hosts();
    let mut asked = Vec::new();
    for host in 0..hosts.len() {
        let (tell, told) = flume::bounded(1);
        let parcel = Parcel::Report(tell);
        asked.push(remote.post().try_send(host, Lane::Control, parcel).ok().map(|()| told));
    }
    let deadline = remote.clock().now() + within;
    let mut reports = Vec::new();
    for (host, told) in asked.into_iter().enumerate() {
        let left = deadline.since(remote.clock().now());
        let answer = match told {
            Some(told) => timeout(remote.clock(), left, told.recv_async()).await.and_then(Result::ok),
            None => None,
        };
        reports.push(answer.unwrap_or_else(|| {
            let mut report = known(&hosts[host], host, remote.clock().now());
            report["inbox"] = remote.post().mesh.shard(host).depth().into();
            report
        }));
    }
    json!({ "at_ms": remote.clock().now().as_ns() / 1_000_000, "hosts": reports })
}

/// One actor by its kind's name and its key's text: asks each host that has the kind.
pub async fn of_one(remote: &Remote, kind: &str, key: &str, within: Duration) -> Option<Value> {
    let hosts = remote.post().registry.hosts();
    let with_kind = (0..hosts.len()).filter(|host| hosts[*host].kinds.iter().any(|(name, _)| *name == kind));
    let mut asked = Vec::new();
    for host in with_kind {
        let (tell, told) = flume::bounded(1);
        let parcel = Parcel::One { kind: kind.to_owned(), key: key.to_owned(), tell };
        if remote.post().try_send(host, Lane::Control, parcel).is_ok() {
            asked.push(told);
        }
    }
    let deadline = remote.clock().now() + within;
    for told in asked {
        let left = deadline.since(remote.clock().now());
        if let Some(Ok(Some(report))) = timeout(remote.clock(), left, told.recv_async()).await {
            return Some(report);
        }
    }
    None
}

/// One actor of this host.
pub(crate) fn find_one<W: World>(world: &mut W, kind: &str, key: &str) -> Option<Value> {
    let ops = world.core().kinds.iter().find(|known| known.name == kind)?.ops;
    ops.one(world, key)
}
