use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_ms(1_000);
const ROOMY: Bounds = Bounds { max_entries: 1000, max_bytes: 100_000 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn a_key_is_there_until_its_time_is_up_and_not_a_moment_longer() {
    let mut map = ExpiringMap::new(ROOMY);
    map.set("k", value("v"), Some(ms(50)), START).unwrap();
    assert_eq!(map.get("k", START + ms(49)).unwrap(), Some(value("v")));
    assert_eq!(map.get("k", START + ms(50)).unwrap(), None);
    assert_eq!(map.held(), Held::default(), "looking removed it");
}

#[test]
fn setting_again_starts_the_time_anew_and_without_one_the_key_stays() {
    let mut map = ExpiringMap::new(ROOMY);
    map.set("k", value("a"), Some(ms(50)), START).unwrap();
    map.set("k", value("b"), Some(ms(50)), START + ms(40)).unwrap();
    assert_eq!(map.get("k", START + ms(80)).unwrap(), Some(value("b")));
    map.set("k", value("c"), None, START + ms(80)).unwrap();
    assert_eq!(map.expire_due(START + ms(10_000), 10), 0);
    assert_eq!(map.get("k", START + ms(10_000)).unwrap(), Some(value("c")));
}

#[test]
fn a_count_keeps_the_window_that_its_first_addition_started() {
    let mut map = ExpiringMap::new(ROOMY);
    assert_eq!(map.increment("k", 2, ms(100), START).unwrap(), Count { value: 2, resets_in: ms(100) });
    assert_eq!(map.increment("k", 3, ms(100), START + ms(60)).unwrap(), Count { value: 5, resets_in: ms(40) });
    assert_eq!(map.increment("k", 1, ms(100), START + ms(100)).unwrap(), Count { value: 1, resets_in: ms(100) });
    assert_eq!(map.increment("k", u64::MAX, ms(100), START + ms(101)).unwrap().value, u64::MAX);
}

#[test]
fn active_expiry_removes_the_longest_overdue_first_within_its_budget() {
    let mut map = ExpiringMap::new(ROOMY);
    for (key, ttl) in [("c", 30), ("a", 10), ("b", 20), ("later", 500)] {
        map.set(key, value("v"), Some(ms(ttl)), START).unwrap();
    }
    let now = START + ms(100);
    assert_eq!(map.expire_due(now, 2), 2);
    assert_eq!(map.deadlines.first().map(|(_, key)| &**key), Some("c"));
    assert_eq!(map.expire_due(now, 2), 1);
    assert_eq!(map.held().entries, 1);
}

#[test]
fn a_full_map_makes_room_from_what_is_expired_and_then_refuses_what_grows() {
    let mut map = ExpiringMap::new(Bounds { max_entries: 2, ..ROOMY });
    map.set("old", value("v"), Some(ms(10)), START).unwrap();
    map.set("stays", value("v"), None, START).unwrap();
    let full = Err(StoreError::Full { held: 2, limit: 2, unit: "entries" });
    assert_eq!(map.set("new", value("v"), None, START), full);
    assert_eq!(map.set("new", value("v"), None, START + ms(10)), Ok(()));
    assert_eq!(
        map.add_member("set", "m", START + ms(10)),
        Err(StoreError::Full { held: 2, limit: 2, unit: "entries" })
    );
    assert_eq!(map.set("new", value("w"), None, START + ms(10)), Ok(()), "replacing takes no room");
    assert!(map.delete("stays", START + ms(10)));
    assert_eq!(map.increment("count", 1, ms(10), START + ms(10)).unwrap().value, 1);
}

#[test]
fn a_map_full_of_bytes_still_lets_a_value_shrink() {
    let mut map = ExpiringMap::new(Bounds { max_entries: 10, max_bytes: 10 });
    map.set("k", value("123456789"), None, START).unwrap();
    let full = StoreError::Full { held: 10, limit: 10, unit: "bytes" };
    assert_eq!(map.set("k", value("1234567890"), None, START), Err(full));
    assert_eq!(map.get("k", START).unwrap(), Some(value("123456789")), "a refusal leaves the key as it was");
    assert_eq!(map.set("k", value("1"), None, START), Ok(()));
}

#[test]
fn a_set_without_members_is_gone() {
    let mut map = ExpiringMap::new(ROOMY);
    assert_eq!(map.add_member("s", "a", START), Ok(true));
    assert_eq!(map.add_member("s", "a", START), Ok(false));
    assert_eq!(map.held().entries, 2);
    assert_eq!(map.remove_member("s", "b", START), Ok(false));
    assert_eq!(map.remove_member("s", "a", START), Ok(true));
    assert_eq!(map.held(), Held::default());
}

#[test]
fn a_scan_does_bounded_work_where_most_keys_are_expired() {
    let mut map = ExpiringMap::new(ROOMY);
    for i in 0..100 {
        map.set(&format!("p:{i:03}"), value("v"), Some(ms(10)), START).unwrap();
    }
    map.set("p:zzz", value("v"), None, START).unwrap();
    let first = map.scan("p:", None, 10, START + ms(10));
    assert!(first.entries.is_empty());
    assert_eq!(first.next, Some(Cursor("p:039".into())));
    let last = map.scan("p:", Some(&Cursor("p:099".into())), 10, START + ms(10));
    assert_eq!(last, Page { entries: vec![("p:zzz".into(), value("v"))], next: None });
}

/// One call with its arguments; keys and members are drawn from a few, so that calls meet.
#[derive(Clone, Debug)]
enum Call {
    Get(u8),
    Set(u8, u8, Option<u8>),
    SetIfAbsent(u8, u8, Option<u8>),
    Delete(u8),
    Expire(u8, u8),
    Increment(u8, u8, u8),
    AddMember(u8, u8),
    RemoveMember(u8, u8),
    Members(u8),
    ScanAll(u8),
    ExpireDue(u8),
}

fn calls() -> impl Strategy<Value = Vec<(u8, Call)>> {
    let key = 0..6u8;
    let ttl = proptest::option::of(0..40u8);
    let call = prop_oneof![
        key.clone().prop_map(Call::Get),
        (key.clone(), 0..30u8, ttl.clone()).prop_map(|(k, v, t)| Call::Set(k, v, t)),
        (key.clone(), 0..30u8, ttl).prop_map(|(k, v, t)| Call::SetIfAbsent(k, v, t)),
        key.clone().prop_map(Call::Delete),
        (key.clone(), 0..40u8).prop_map(|(k, t)| Call::Expire(k, t)),
        (key.clone(), 0..9u8, 1..40u8).prop_map(|(k, n, t)| Call::Increment(k, n, t)),
        (key.clone(), 0..4u8).prop_map(|(k, m)| Call::AddMember(k, m)),
        (key.clone(), 0..4u8).prop_map(|(k, m)| Call::RemoveMember(k, m)),
        key.prop_map(Call::Members),
        (1..4u8).prop_map(Call::ScanAll),
        (0..4u8).prop_map(Call::ExpireDue),
    ];
    proptest::collection::vec((0..15u8, call), 0..120)
}

/// The same behaviour in the plainest way: everything is looked at on every call, nothing is reckoned in advance.
#[derive(Default)]
struct Model(HashMap<String, (ModelValue, Option<Timestamp>)>);

#[derive(Clone, Debug, PartialEq)]
enum ModelValue {
    Plain(Bytes),
    Count(u64),
    Set(BTreeSet<String>),
}

impl Model {
    fn forget_due(&mut self, now: Timestamp) {
        self.0.retain(|_, (_, at)| at.is_none_or(|at| at > now));
    }

    fn held(&self) -> Held {
        let mut held = Held::default();
        for (key, (value, _)) in &self.0 {
            held.entries += 1;
            held.bytes += key.len();
            match value {
                ModelValue::Plain(bytes) => held.bytes += bytes.len(),
                ModelValue::Count(_) => held.bytes += COUNT_BYTES,
                ModelValue::Set(members) => {
                    held.entries += members.len();
                    held.bytes += members.iter().map(String::len).sum::<usize>();
                }
            }
        }
        held
    }
}

/// What a call answered, in one type for both.
#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Value(Option<Bytes>),
    Did(bool),
    Counted(Count),
    Listed(Vec<String>),
    Scanned(Vec<(String, Bytes)>),
    WrongKind,
    Full,
}

fn answer<T>(result: Result<T, StoreError>, made: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => made(value),
        Err(StoreError::WrongKind(_)) => Answer::WrongKind,
        Err(StoreError::Full { .. }) => Answer::Full,
        Err(other) => panic!("no call answers {other:?}"),
    }
}

fn bytes_of(length: u8) -> Bytes {
    Bytes::from(vec![b'v'; length.into()])
}

fn key_of(key: u8) -> String {
    format!("key{key}")
}

fn member_of(member: u8) -> String {
    "m".repeat(usize::from(member) + 1)
}

fn ttl_of(ttl: u8) -> Duration {
    ms(ttl.into())
}

fn run(map: &mut ExpiringMap, call: &Call, now: Timestamp) -> Answer {
    match *call {
        Call::Get(key) => answer(map.get(&key_of(key), now), Answer::Value),
        Call::Set(key, length, ttl) => {
            answer(map.set(&key_of(key), bytes_of(length), ttl.map(ttl_of), now), |()| Answer::Nothing)
        }
        Call::SetIfAbsent(key, length, ttl) => {
            answer(map.set_if_absent(&key_of(key), bytes_of(length), ttl.map(ttl_of), now), Answer::Did)
        }
        Call::Delete(key) => Answer::Did(map.delete(&key_of(key), now)),
        Call::Expire(key, ttl) => Answer::Did(map.expire(&key_of(key), ttl_of(ttl), now)),
        Call::Increment(key, by, ttl) => {
            answer(map.increment(&key_of(key), by.into(), ttl_of(ttl), now), Answer::Counted)
        }
        Call::AddMember(key, member) => answer(map.add_member(&key_of(key), &member_of(member), now), Answer::Did),
        Call::RemoveMember(key, member) => {
            answer(map.remove_member(&key_of(key), &member_of(member), now), Answer::Did)
        }
        Call::Members(key) => answer(map.members(&key_of(key), now), Answer::Listed),
        Call::ScanAll(limit) => {
            let mut all = Vec::new();
            let mut cursor = None;
            loop {
                let page = map.scan("key", cursor.as_ref(), limit.into(), now);
                all.extend(page.entries);
                cursor = page.next;
                if cursor.is_none() {
                    return Answer::Scanned(all);
                }
            }
        }
        Call::ExpireDue(budget) => {
            map.expire_due(now, budget.into());
            Answer::Nothing
        }
    }
}

fn expected(model: &mut Model, bounds: Bounds, call: &Call, now: Timestamp) -> Answer {
    use ModelValue::{Count as Counted, Plain, Set};
    model.forget_due(now);
    let before: Vec<_> = model.0.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
    let held_before = model.held();
    let at = |ttl: &u8| now + ttl_of(*ttl);
    let got = match call {
        Call::Get(key) => match model.0.get(&key_of(*key)) {
            None => Answer::Value(None),
            Some((Plain(value), _)) => Answer::Value(Some(value.clone())),
            Some(_) => Answer::WrongKind,
        },
        Call::Set(key, length, ttl) => {
            model.0.insert(key_of(*key), (Plain(bytes_of(*length)), ttl.as_ref().map(at)));
            Answer::Nothing
        }
        Call::SetIfAbsent(key, length, ttl) => {
            let absent = !model.0.contains_key(&key_of(*key));
            if absent {
                model.0.insert(key_of(*key), (Plain(bytes_of(*length)), ttl.as_ref().map(at)));
            }
            Answer::Did(absent)
        }
        Call::Delete(key) => Answer::Did(model.0.remove(&key_of(*key)).is_some()),
        Call::Expire(key, ttl) => match model.0.get_mut(&key_of(*key)) {
            Some((_, deadline)) => {
                *deadline = Some(at(ttl));
                Answer::Did(true)
            }
            None => Answer::Did(false),
        },
        Call::Increment(key, by, ttl) => {
            match model.0.entry(key_of(*key)).or_insert_with(|| (Counted(0), Some(at(ttl)))) {
                (Counted(count), deadline) => {
                    *count += u64::from(*by);
                    let resets_in = deadline.map_or(Duration::MAX, |at| at.since(now));
                    Answer::Counted(Count { value: *count, resets_in })
                }
                _ => Answer::WrongKind,
            }
        }
        Call::AddMember(key, member) => match model.0.entry(key_of(*key)).or_insert_with(|| (Set([].into()), None)) {
            (Set(members), _) => Answer::Did(members.insert(member_of(*member))),
            _ => Answer::WrongKind,
        },
        Call::RemoveMember(key, member) => match model.0.get_mut(&key_of(*key)) {
            None => Answer::Did(false),
            Some((Set(members), _)) => {
                let did = members.remove(&member_of(*member));
                if members.is_empty() {
                    model.0.remove(&key_of(*key));
                }
                Answer::Did(did)
            }
            Some(_) => Answer::WrongKind,
        },
        Call::Members(key) => match model.0.get(&key_of(*key)) {
            None => Answer::Listed(Vec::new()),
            Some((Set(members), _)) => Answer::Listed(members.iter().cloned().collect()),
            Some(_) => Answer::WrongKind,
        },
        Call::ScanAll(_) => {
            let mut all: Vec<_> = (model.0.iter())
                .filter_map(|(key, (value, _))| match value {
                    Plain(value) => Some((key.clone(), value.clone())),
                    _ => None,
                })
                .collect();
            all.sort();
            Answer::Scanned(all)
        }
        Call::ExpireDue(_) => Answer::Nothing,
    };
    let held = model.held();
    let over = (held.entries > bounds.max_entries && held.entries > held_before.entries)
        || (held.bytes > bounds.max_bytes && held.bytes > held_before.bytes);
    if over {
        model.0 = before.into_iter().collect();
        return Answer::Full;
    }
    got
}

proptest! {
    #[test]
    fn the_map_behaves_as_one_that_looks_at_everything_every_time(calls in calls(), small in any::<bool>()) {
        let bounds = if small { Bounds { max_entries: 6, max_bytes: 80 } } else { ROOMY };
        let mut map = ExpiringMap::new(bounds);
        let mut model = Model::default();
        let mut now = START;
        for (passed, call) in &calls {
            now = now + ms((*passed).into());
            let want = expected(&mut model, bounds, call, now);
            let got = run(&mut map, call, now);
            prop_assert_eq!(got, want, "{:?} at {:?}", call, now);

            let mut held = Held::default();
            for (key, entry) in &map.entries {
                let one = held_by(key, entry);
                held.entries += one.entries;
                held.bytes += one.bytes;
                let listed = entry.expires_at.is_none_or(|at| map.deadlines.contains(&(at, key.clone())));
                prop_assert!(listed, "{key} has no deadline");
            }
            prop_assert_eq!(map.held(), held);
            prop_assert_eq!(map.deadlines.len(), map.entries.values().filter(|e| e.expires_at.is_some()).count());
            prop_assert!(held.entries <= bounds.max_entries && held.bytes <= bounds.max_bytes);
        }
        map.expire_due(now, usize::MAX);
        prop_assert_eq!(map.held(), model_held_after(&mut model, now));
    }
}

fn model_held_after(model: &mut Model, now: Timestamp) -> Held {
    model.forget_due(now);
    model.held()
}
