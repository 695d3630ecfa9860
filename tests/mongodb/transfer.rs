//! Everything from one kind of store to the other and back, by the command line, as operators move it.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use bytes::Bytes;
use pianorhythm_server::{
    domain::room::{RoomChange, RoomRecord},
    store::{
        DOCUMENTS_FILE, Documents as _, EmbeddedDocuments, Store,
        contract::{
            collections::HOSTILE,
            documents::{NOW, key, line, record},
            people::{id, user},
        },
        document,
        people::{
            Audit as _, AuditEntry, Avatar, Avatars as _, Bans as _, Credential, FriendStep, Friendships as _,
            LoginSession, NewAccount, PreferenceStore as _, PrivateMessage, PrivateMessages as _, Proof, ServerBan,
            ServerSetting, Sessions as _, SettingStore as _, Subject, User, Users as _,
        },
        transfer,
    },
};
use serde_json::json;

use crate::Kept;

/// One of everything, and of some things many.
async fn fill(store: &dyn Store) {
    for n in 0..230 {
        let name = format!("u{n:03}");
        let credential =
            Credential { user_id: id(&name), proof: Proof::Password { hash: format!("hash {n}") }, since: NOW };
        store.register(&NewAccount { user: user(&name), credential }).await.unwrap();
    }
    let clara = id("u000");
    let session = LoginSession {
        id: "s1".into(),
        user_id: clara.clone(),
        token: "t".into(),
        spent: vec!["s".into()],
        since: NOW,
        refreshed: NOW,
        until: NOW,
        remember: false,
        client: String::new(),
        address: None,
        revoked: None,
    };
    store.log_in(&session).await.unwrap();
    for step in [FriendStep::Ask, FriendStep::Block] {
        store.take_step(&clara, &id("u001"), step, NOW).await.unwrap().unwrap();
    }
    let message = PrivateMessage {
        id: "m1".into(),
        from: clara.clone(),
        from_name: "Clara".into(),
        to: id("u001"),
        text: "„hello“ \u{1F3B9}\n".into(),
        sent: NOW,
        delivered: None,
    };
    store.keep_message(&message).await.unwrap();
    let values: BTreeMap<_, _> =
        HOSTILE.iter().map(|name| ((*name).to_owned(), json!({ *name: [[1.0, 1], []] }))).collect();
    store.set_preferences(&clara, &values, NOW).await.unwrap();
    let avatar = Avatar {
        user_id: clara.clone(),
        media_type: "image/webp".into(),
        etag: "e".into(),
        bytes: Bytes::from((0..=255).collect::<Vec<u8>>()),
        since: NOW,
    };
    store.set_avatar(&avatar).await.unwrap();
    let ban = ServerBan {
        id: "b1".into(),
        subject: Subject::network("192.0.2.0/24".parse().unwrap()),
        name: String::new(),
        by: clara.clone(),
        reason: "noise".into(),
        since: NOW,
        until: None,
        lifted: None,
    };
    store.ban(&ban).await.unwrap();
    let entry = AuditEntry {
        id: "a1".into(),
        time: NOW,
        actor: Some(clara.clone()),
        actor_name: "Clara".into(),
        address: None,
        action: "ban".into(),
        target: Some("192.0.2.0/24".into()),
        details: BTreeMap::from([("$a.b".into(), "c".into())]),
    };
    store.record_action(&entry).await.unwrap();
    let setting = ServerSetting { name: "x.y".into(), value: json!({ "n": u64::MAX }), by: None, changed: NOW };
    store.set_setting(&setting).await.unwrap();
    for room in ["jazz", "größe", "$ne"] {
        store.save(RoomChange::Save(Box::new(RoomRecord { by_guest: room == "$ne", ..record(room) }))).await.unwrap();
        for n in 0..3 {
            store.save(RoomChange::Chat { key: key(room), line: line(&n.to_string()) }).await.unwrap();
        }
    }
    store.save_meta("motd", Bytes::from_static(&[0, 255])).await.unwrap();
}

async fn lines(store: &dyn Store) -> Vec<String> {
    let mut out = Vec::new();
    transfer::export(store, &mut out).await.unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

async fn embedded(folder: &Path) -> Arc<EmbeddedDocuments> {
    EmbeddedDocuments::open(&folder.join(DOCUMENTS_FILE), Default::default()).unwrap()
}

/// The command, with the documents in this folder, or in that database.
fn command(folder: &Path, kept: Option<&Kept>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"));
    command.args(args).env_clear().env("DATA_DIR", folder).env("STORE_TIMEOUT_MS", "60000");
    if let Some(kept) = kept {
        command.env("MONGODB_URL", &kept.settings.url).env("MONGODB_DATABASE", &kept.settings.database);
    }
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_from_the_file_to_mongodb_and_back_and_is_what_it_was() {
    let Some(kept) = Kept::new() else { return };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = first.path().join("all.jsonl");
    let there = file.to_str().unwrap();
    let store = embedded(first.path()).await;
    fill(&*store).await;
    let before = lines(&*store).await;
    store.close().await.unwrap();
    drop(store);

    let exported = command(first.path(), None, &["export", there]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let imported = command(first.path(), Some(&kept), &["import", there]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let again = command(first.path(), Some(&kept), &["import", there]);
    assert!(stderr(&again).contains(&format!("0 documents imported, {} were there", before.len() - 2)), "{again:?}");
    let mongodb = kept.connect().await;
    assert_eq!(lines(&*mongodb).await, before);
    // By its keys, too, each is found.
    assert_eq!(mongodb.user_by_name("U229").await.unwrap().unwrap().document, user("u229"));
    assert!(mongodb.ban_of_address("192.0.2.7".parse().unwrap(), NOW).await.unwrap().is_some());

    let back = command(second.path(), Some(&kept), &["export"]);
    assert!(back.status.success(), "{}", stderr(&back));
    std::fs::write(&file, &back.stdout).unwrap();
    let imported = command(second.path(), None, &["import", there]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let store = embedded(second.path()).await;
    assert_eq!(lines(&*store).await, before);
    assert_eq!(store.user_by_email("u229@example.org").await.unwrap().unwrap().document, user("u229"));
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on_and_what_differs_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::create_dir_all(&one).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let (one, other) = (embedded(&one).await, embedded(&other).await);
    fill(&*one).await;
    let lines_of_one = lines(&*one).await;
    let import = |text: String, overwrite| {
        let other = other.clone();
        async move { transfer::import(&*other, &mut text.as_bytes(), overwrite).await.map_err(|error| error.to_string()) }
    };
    let whole = lines_of_one.join("\n") + "\n";
    let length = whole.chars().count();
    for cut in [0, 1, length / 2, length - 5] {
        let cut_off = import(whole.chars().take(cut).collect(), false).await.unwrap_err();
        assert!(cut_off.contains("cut off"), "{cut}: {cut_off}");
    }
    let done = import(whole.clone(), false).await.unwrap();
    assert!(done.same > 0 && done.written + done.same == lines_of_one.len() as u64 - 2, "{done:?}");
    assert_eq!(lines(&*other).await, lines_of_one);

    let third = id("u003");
    let changed = other.change_user(&third, |user: &mut User| {
        user.about = "changed since".into();
        document::Verdict::Keep(())
    });
    changed.await.unwrap();
    other.save(RoomChange::Chat { key: key("jazz"), line: line("said since") }).await.unwrap();
    let differs = import(whole.clone(), false).await.unwrap_err();
    assert!(differs.contains("u003") && differs.contains("--overwrite"), "{differs}");
    import(whole.clone(), true).await.unwrap();
    assert_eq!(lines(&*other).await, lines_of_one);

    for (text, said) in [
        ("{}\n", "line 1"),
        ("{\"end\":0}\n", "does not begin as one"),
        ("{\"pianorhythm_export\":2}\n", "format 2"),
        ("{\"pianorhythm_export\":1}\n{\"collection\":\"$cmd\",\"document\":{}}\n", "no collection is named"),
        ("{\"pianorhythm_export\":1}\n{\"collection\":\"users\",\"document\":{}}\n", "line 2: it is none of the users"),
        ("{\"pianorhythm_export\":1}\n{\"end\":5}\n", "5 documents were exported"),
    ] {
        let error = import(text.to_owned(), false).await.unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}
