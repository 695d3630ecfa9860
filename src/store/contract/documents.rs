//! The contract of [`Documents`], in an empty store each.

// The cases' names are their sentences.
#![allow(missing_docs)]

use std::time::Duration;

use bytes::Bytes;

use crate::{
    domain::{
        chat::{ChatLine, LineKind, MAX_LINES},
        room::{Ban, Mute, RoomChange, RoomRecord},
        room_settings::{NoteQuota, RoomKind, Settings},
    },
    protocol::{ids::RoomKey, time::Timestamp},
    store::{
        StoreError,
        documents::{Documents, MAX_DOCUMENT_BYTES, SavedRoom},
        people::holdings::in_rooms,
    },
};

/// Makes one test of each case of the contract of `Documents`, on stores from the function of this path.
#[macro_export]
macro_rules! documents_contract {
    ($factory:path) => {
        $crate::documents_contract! { @cases $factory:
            a_room_comes_back_as_it_was_saved
            saving_again_replaces_the_record_and_keeps_the_chat
            chat_comes_back_in_order_and_only_its_last_lines
            a_line_saved_twice_is_there_once
            a_deleted_room_is_gone_with_its_chat
            a_line_of_a_room_that_is_not_saved_is_dropped
            rooms_whose_names_begin_alike_keep_their_chat_apart
            changes_happen_in_the_order_in_which_they_were_asked_for
            changes_of_many_rooms_at_once_are_all_kept
            rooms_are_listed_in_pages_in_order_of_their_keys
            rooms_of_guests_are_forgotten_when_unused_and_others_stay
            a_room_used_again_is_not_forgotten
            what_a_user_owns_and_said_is_found_in_all_rooms
            settings_documents_come_back_as_they_were_saved
            a_document_that_is_too_long_is_refused
            a_working_store_says_so_and_a_closed_one_refuses
        }
    };
    (@cases $factory:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            use $crate::store::contract::Given as _;
            let Some((store, _kept)) = $factory().await.given() else { return };
            $crate::store::contract::documents::$case(&*store).await;
        })*
    };
}

/// A moment for tests.
pub const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

pub fn key(name: &str) -> RoomKey {
    RoomKey::from_normalised(name)
}

/// A plain room of a member's.
pub fn record(name: &str) -> RoomRecord {
    RoomRecord {
        key: key(name),
        display_name: name.to_uppercase(),
        kind: RoomKind::Public,
        settings: Settings::default(),
        password_hash: None,
        owner: Some("owner".into()),
        bans: Vec::new(),
        mutes: Vec::new(),
        by_guest: false,
        last_used: NOW,
    }
}

/// A line with this text.
pub fn line(text: &str) -> ChatLine {
    ChatLine {
        message_id: format!("id of {text}"),
        kind: LineKind::User,
        user_id: "clara".into(),
        username: "Clara".into(),
        colour: "#aabbcc".into(),
        participant: 7,
        time_ms: 1_800_000_000_123,
        text: text.into(),
    }
}

async fn save(store: &dyn Documents, record: RoomRecord) {
    store.save(RoomChange::Save(Box::new(record))).await.unwrap();
}

async fn say(store: &dyn Documents, room: &str, text: &str) {
    store.save(RoomChange::Chat { key: key(room), line: line(text) }).await.unwrap();
}

/// The texts of a room's chat.
async fn chat(store: &dyn Documents, room: &str) -> Vec<String> {
    let room = store.load_room(&key(room)).await.unwrap().expect("the room is saved");
    room.chat.into_iter().map(|line| line.text).collect()
}

async fn listed(store: &dyn Documents, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_rooms(after.as_ref(), limit).await.unwrap();
        assert!(page.rooms.len() <= limit);
        found.extend(page.rooms.into_iter().map(|room| room.key.to_string()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

pub async fn a_room_comes_back_as_it_was_saved(store: &dyn Documents) {
    assert_eq!(store.load_room(&key("jazz")).await, Ok(None));
    let record = RoomRecord {
        display_name: "Jazz Klub „Größe“ 🎹".into(),
        kind: RoomKind::Private,
        settings: Settings {
            max_users: 3,
            only_owner_plays: true,
            welcome_message: "\"hello\"\n".into(),
            note_quota: NoteQuota::Dense,
            ..Settings::default()
        },
        password_hash: Some("$argon2id$…".into()),
        bans: vec![Ban {
            user_id: "pest".into(),
            username: "Pest".into(),
            networks: vec!["192.0.2.7".parse().unwrap(), "2001:db8::".parse().unwrap()],
            until: Some(NOW + Duration::from_micros(1)),
            reason: "noise".into(),
        }],
        mutes: vec![Mute { user_id: "loud".into(), notes: true, chat: false, until: None }],
        by_guest: true,
        ..record("jazz klub „größe“ 🎹")
    };
    save(store, record.clone()).await;
    let found = store.load_room(&record.key).await;
    assert_eq!(found, Ok(Some(SavedRoom { record: record.clone(), chat: Vec::new() })));
    let lines = [line("a"), ChatLine { kind: LineKind::Moderator, text: "\u{1F3B9} \"b\"".into(), ..line("b") }];
    for line in lines.clone() {
        store.save(RoomChange::Chat { key: record.key.clone(), line }).await.unwrap();
    }
    let found = store.load_room(&record.key).await;
    assert_eq!(found, Ok(Some(SavedRoom { record, chat: lines.to_vec() })));
}

pub async fn saving_again_replaces_the_record_and_keeps_the_chat(store: &dyn Documents) {
    save(store, record("jazz")).await;
    say(store, "jazz", "hello").await;
    let renamed = RoomRecord { display_name: "Blues".into(), ..record("jazz") };
    save(store, renamed.clone()).await;
    let found = store.load_room(&key("jazz")).await.unwrap().unwrap();
    assert_eq!((found.record, found.chat), (renamed, vec![line("hello")]));
}

pub async fn chat_comes_back_in_order_and_only_its_last_lines(store: &dyn Documents) {
    save(store, record("jazz")).await;
    for i in 0..MAX_LINES + 7 {
        say(store, "jazz", &i.to_string()).await;
    }
    let wanted: Vec<_> = (7..MAX_LINES + 7).map(|i| i.to_string()).collect();
    assert_eq!(chat(store, "jazz").await, wanted);
}

pub async fn a_line_saved_twice_is_there_once(store: &dyn Documents) {
    save(store, record("jazz")).await;
    for text in ["a", "b", "a", "b"] {
        say(store, "jazz", text).await;
    }
    assert_eq!(chat(store, "jazz").await, ["a", "b"]);
    let again = ChatLine { message_id: "another".into(), ..line("a") };
    store.save(RoomChange::Chat { key: key("jazz"), line: again }).await.unwrap();
    assert_eq!(chat(store, "jazz").await, ["a", "b", "a"], "the same words are another line");
}

pub async fn a_deleted_room_is_gone_with_its_chat(store: &dyn Documents) {
    save(store, record("jazz")).await;
    say(store, "jazz", "old").await;
    store.save(RoomChange::Delete(key("jazz"))).await.unwrap();
    store.save(RoomChange::Delete(key("jazz"))).await.unwrap();
    assert_eq!(store.load_room(&key("jazz")).await, Ok(None));
    save(store, record("jazz")).await;
    assert_eq!(chat(store, "jazz").await, [] as [&str; 0]);
}

pub async fn a_line_of_a_room_that_is_not_saved_is_dropped(store: &dyn Documents) {
    say(store, "jazz", "lost").await;
    assert_eq!(store.load_room(&key("jazz")).await, Ok(None));
    save(store, record("jazz")).await;
    assert_eq!(chat(store, "jazz").await, [] as [&str; 0]);
}

pub async fn rooms_whose_names_begin_alike_keep_their_chat_apart(store: &dyn Documents) {
    for room in ["jazz", "jazz ", "jazz2", "jaz"] {
        save(store, record(room)).await;
        say(store, room, room).await;
    }
    store.save(RoomChange::Delete(key("jazz"))).await.unwrap();
    for room in ["jazz ", "jazz2", "jaz"] {
        assert_eq!(chat(store, room).await, [room]);
    }
}

pub async fn changes_happen_in_the_order_in_which_they_were_asked_for(store: &dyn Documents) {
    let say = |text| store.save(RoomChange::Chat { key: key("jazz"), line: line(text) });
    let saved = store.save(RoomChange::Save(Box::new(record("jazz"))));
    let before = say("before");
    let deleted = store.save(RoomChange::Delete(key("jazz")));
    let saved_again = store.save(RoomChange::Save(Box::new(record("jazz"))));
    let (first, second) = (say("first"), say("second"));
    // Awaited in another order than they were asked for.
    for change in [second, deleted, saved_again, first, saved, before] {
        change.await.unwrap();
    }
    assert_eq!(chat(store, "jazz").await, ["first", "second"]);
}

pub async fn changes_of_many_rooms_at_once_are_all_kept(store: &dyn Documents) {
    let rooms: Vec<_> = (0..50).map(|i| format!("room {i:02}")).collect();
    let mut changes = Vec::new();
    for room in &rooms {
        changes.push(store.save(RoomChange::Save(Box::new(record(room)))));
        changes.push(store.save(RoomChange::Chat { key: key(room), line: line(room) }));
    }
    for change in changes {
        change.await.unwrap();
    }
    for room in &rooms {
        assert_eq!(chat(store, room).await, *std::slice::from_ref(room));
    }
}

pub async fn rooms_are_listed_in_pages_in_order_of_their_keys(store: &dyn Documents) {
    assert_eq!(listed(store, 10).await, [] as [&str; 0]);
    for room in ["c", "a", "e", "b", "d"] {
        save(store, record(room)).await;
        say(store, room, "chat is not listed").await;
    }
    for limit in [1, 2, 5, 6] {
        assert_eq!(listed(store, limit).await, ["a", "b", "c", "d", "e"]);
    }
    let page = store.list_rooms(Some(&key("bb")), 1).await.unwrap();
    assert_eq!(page.rooms, [record("c")], "the key to go on from need not be there");
}

pub async fn rooms_of_guests_are_forgotten_when_unused_and_others_stay(store: &dyn Documents) {
    let day = |n: u64| NOW + Duration::from_secs(n * 24 * 60 * 60);
    for (room, by_guest, last_used) in
        [("old", true, day(0)), ("older", true, day(0)), ("new", true, day(7)), ("members", false, day(0))]
    {
        save(store, RoomRecord { by_guest, last_used, ..record(room) }).await;
        say(store, room, room).await;
    }
    assert_eq!(store.forget_guest_rooms(day(0)).await, Ok(vec![]), "not those used at that very moment");
    let mut forgotten = store.forget_guest_rooms(day(7)).await.unwrap();
    forgotten.sort();
    assert_eq!(forgotten, [key("old"), key("older")]);
    assert_eq!(listed(store, 10).await, ["members", "new"]);
    save(store, record("old")).await;
    assert_eq!(chat(store, "old").await, [] as [&str; 0]);
    assert_eq!(store.forget_guest_rooms(day(7)).await, Ok(vec![]));
}

pub async fn a_room_used_again_is_not_forgotten(store: &dyn Documents) {
    let later = NOW + Duration::from_secs(1);
    save(store, RoomRecord { by_guest: true, ..record("used") }).await;
    save(store, RoomRecord { by_guest: true, last_used: later, ..record("used") }).await;
    save(store, RoomRecord { by_guest: true, ..record("taken over") }).await;
    save(store, record("taken over")).await;
    save(store, RoomRecord { by_guest: true, ..record("deleted") }).await;
    store.save(RoomChange::Delete(key("deleted"))).await.unwrap();
    save(store, record("deleted")).await;
    assert_eq!(store.forget_guest_rooms(later).await, Ok(vec![]));
    assert_eq!(store.forget_guest_rooms(later + Duration::from_secs(1)).await, Ok(vec![key("used")]));
    assert_eq!(listed(store, 10).await, ["deleted", "taken over"]);
}

pub async fn what_a_user_owns_and_said_is_found_in_all_rooms(store: &dyn Documents) {
    for (room, owner) in [("a", "clara"), ("b", "robert"), ("c", "clara")] {
        save(store, RoomRecord { owner: Some(owner.into()), ..record(room) }).await;
        say(store, room, &format!("in {room}")).await;
        let other = ChatLine { user_id: "robert".into(), ..line("another's") };
        store.save(RoomChange::Chat { key: key(room), line: other }).await.unwrap();
    }
    let (mut rooms, mut lines, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let (found, next) = in_rooms(store, &"clara".into(), after.as_ref(), 2).await.unwrap();
        rooms.extend(found.rooms.into_iter().map(|room| room.key));
        lines.extend(found.lines.into_iter().map(|(room, line)| (room, line.text)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(rooms, [key("a"), key("c")]);
    assert_eq!(lines, ["a", "b", "c"].map(|room| (key(room), format!("in {room}"))));
}

pub async fn settings_documents_come_back_as_they_were_saved(store: &dyn Documents) {
    assert_eq!(store.load_meta("motd").await, Ok(None));
    for document in [&b"hello"[..], &[0, 255, 10], b""] {
        store.save_meta("motd", Bytes::from_static(document)).await.unwrap();
        assert_eq!(store.load_meta("motd").await, Ok(Some(Bytes::from_static(document))));
    }
    assert_eq!(store.load_meta("other").await, Ok(None));
    for key in ["$ne", "a.b"] {
        store.save_meta(key, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(store.list_meta(None, 10).await.unwrap(), ["$ne", "a.b", "motd"]);
    assert_eq!(store.list_meta(None, 2).await.unwrap(), ["$ne", "a.b"]);
    assert_eq!(store.list_meta(Some("a.b"), 2).await.unwrap(), ["motd"]);
    assert_eq!(store.load_meta("{\"$gt\":\"\"}").await, Ok(None));
}

pub async fn a_document_that_is_too_long_is_refused(store: &dyn Documents) {
    let too_large = |result| matches!(result, Err(StoreError::TooLarge { .. }));
    let long = "x".repeat(MAX_DOCUMENT_BYTES + 1);
    assert!(too_large(store.save_meta("k", long.clone().into()).await));
    let record = RoomRecord { display_name: long.clone(), ..record("jazz") };
    assert!(too_large(store.save(RoomChange::Save(Box::new(record))).await));
    assert_eq!(store.load_room(&key("jazz")).await, Ok(None));
    store.save_meta("k", long[1..].to_owned().into()).await.unwrap();
}

pub async fn a_working_store_says_so_and_a_closed_one_refuses(store: &dyn Documents) {
    assert_eq!(store.check().await, Ok(()));
    let last = store.save(RoomChange::Save(Box::new(record("jazz"))));
    let closed = store.close();
    last.await.expect("what was asked before is done");
    closed.await.unwrap();
    let refused = |result| matches!(result, Err(StoreError::Unavailable(_)));
    assert!(refused(store.save(RoomChange::Save(Box::new(record("jazz")))).await));
    assert!(refused(store.load_room(&key("jazz")).await.map(drop)));
    assert!(refused(store.check().await));
}
