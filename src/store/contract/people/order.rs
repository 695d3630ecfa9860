//! Bans, reports, the audit log, and the server's settings.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use crate::{
    protocol::time::Timestamp,
    store::{
        StoreError,
        collection::Collections,
        contract::{
            documents::NOW,
            people::{CLARA, ROBERT, after, all, id},
        },
        people::{
            Accused, Audit as _, AuditEntry, Bans as _, Report, ReportState, ReportStep, Reports as _, ServerBan,
            ServerSetting, SettingStore as _, Subject,
        },
    },
};

fn ban(id: &str, subject: Subject, until: Option<Timestamp>) -> ServerBan {
    let reason = "noise".into();
    ServerBan {
        id: id.into(),
        subject,
        name: "Pest".into(),
        by: CLARA.clone(),
        reason,
        since: NOW,
        until,
        lifted: None,
    }
}

pub async fn a_ban_binds_its_user_or_network_until_it_ends_or_is_lifted<S: Collections>(store: &Arc<S>) {
    let of_pest = Subject::User(id("pest"));
    store.ban(&ban("b1", of_pest.clone(), Some(after(10)))).await.unwrap();
    store.ban(&ban("b2", of_pest.clone(), Some(after(20)))).await.unwrap();
    store.ban(&ban("b1", of_pest, Some(after(10)))).await.expect("a repetition");
    let network = Subject::network("192.0.2.128/25".parse().unwrap());
    store.ban(&ban("b3", network, None)).await.unwrap();
    store.ban(&ban("b4", Subject::network("2001:db8::1/128".parse().unwrap()), Some(after(5)))).await.unwrap();

    let found = |ban: Result<Option<ServerBan>, StoreError>| ban.unwrap().map(|ban| ban.id);
    assert_eq!(found(store.ban_of_user(&id("pest"), NOW).await).as_deref(), Some("b2"), "the longest");
    assert_eq!(found(store.ban_of_user(&id("pest"), after(20)).await), None);
    assert_eq!(found(store.ban_of_user(&id("pes"), NOW).await), None);
    for (address, now, expected) in [
        ("192.0.2.7", NOW, Some("b3")),
        ("::ffff:192.0.2.7", NOW, Some("b3")),
        ("192.0.3.7", NOW, None),
        ("2001:db8::1", NOW, Some("b4")),
        ("2001:db8::1", after(5), None),
        ("2001:db8::2", NOW, None),
    ] {
        assert_eq!(found(store.ban_of_address(address.parse().unwrap(), now).await).as_deref(), expected, "{address}");
    }
    assert_eq!(store.lift("b2", &ROBERT, after(1)).await.unwrap().unwrap().lifted, Some((after(1), ROBERT.clone())));
    assert_eq!(store.lift("b2", &ROBERT, after(1)).await, Ok(None));
    assert_eq!(store.lift("b4", &ROBERT, after(6)).await, Ok(None), "it is over");
    assert_eq!(found(store.ban_of_user(&id("pest"), after(1)).await).as_deref(), Some("b1"));
    assert_eq!(all(3, |wish| store.bans(wish)).await.len(), 4);
}

pub(super) fn report(n: u64) -> Report {
    Report {
        id: format!("r{n}"),
        by: CLARA.clone(),
        accused: Accused {
            user_id: id("pest"),
            username: "Pest".into(),
            room: Some("jazz".into()),
            message: Some(("m1".into(), "{$where: 1}".into())),
        },
        reason: "harassment".into(),
        words: "he did\nit".into(),
        since: after(n),
        state: ReportState::Open,
    }
}

pub async fn reports_go_from_state_to_state_and_are_closed_for_good<S: Collections>(store: &Arc<S>) {
    for n in 0..4 {
        store.file_report(&report(n)).await.unwrap();
        store.file_report(&report(n)).await.expect("a repetition");
    }
    let listed = |state: &'static str| async move {
        let found = all(2, |wish| store.reports(state, wish)).await;
        found.into_iter().map(|report| report.id).collect::<Vec<_>>()
    };
    assert_eq!(listed("open").await, ["r0", "r1", "r2", "r3"]);
    let advance = |id: &'static str, step: ReportStep| async move {
        store.advance_report(id, &step, &ROBERT, after(9)).await.unwrap().map(|report| report.state)
    };
    assert_eq!(advance("r1", ReportStep::Take).await, Some(ReportState::Taken { by: ROBERT.clone() }));
    assert_eq!((listed("open").await.len(), listed("taken").await), (3, vec!["r1".to_owned()]));
    assert_eq!(advance("r1", ReportStep::Release).await, Some(ReportState::Open));
    let closed = ReportState::Closed { by: ROBERT.clone(), at: after(9), verdict: "banned".into() };
    assert_eq!(advance("r1", ReportStep::Close("banned".into())).await, Some(closed.clone()));
    assert_eq!(advance("r1", ReportStep::Take).await, None);
    assert_eq!(advance("none", ReportStep::Take).await, None);
    assert_eq!(store.report("r1").await.unwrap().unwrap().document.state, closed);
    let pest = id("pest");
    let about = all(3, |wish| store.reports_about(&pest, wish)).await;
    assert_eq!(about.iter().map(|report| report.id.as_str()).collect::<Vec<_>>(), ["r3", "r2", "r1", "r0"]);
}

pub async fn the_audit_log_tells_newest_first_by_actor_and_target<S: Collections>(store: &Arc<S>) {
    let entry = |n: u64, actor: Option<&str>, target: Option<&str>| AuditEntry {
        id: format!("a{n}"),
        time: after(n),
        actor: actor.map(id),
        actor_name: "Clara".into(),
        address: Some("192.0.2.1".parse().unwrap()),
        action: "ban".into(),
        target: target.map(str::to_owned),
        details: BTreeMap::from([("$set".into(), "a.b".into())]),
    };
    let entries = [
        entry(0, Some("clara"), Some("pest")),
        entry(1, None, Some("pest")),
        entry(2, Some("clara"), None),
        entry(3, Some("robert"), Some("jazz")),
    ];
    for entry in &entries {
        store.record_action(entry).await.unwrap();
        store.record_action(entry).await.expect("a repetition");
    }
    let ids = |entries: Vec<AuditEntry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    let everything = all(3, |wish| store.audit(wish)).await;
    assert_eq!(everything.last(), Some(&entries[0]));
    assert_eq!(ids(everything), ["a3", "a2", "a1", "a0"]);
    assert_eq!(ids(all(1, |wish| store.audit_by(&CLARA, wish)).await), ["a2", "a0"]);
    assert_eq!(ids(all(5, |wish| store.audit_of("pest", wish)).await), ["a1", "a0"]);
    assert_eq!(store.forget_audit(after(2), 1).await, Ok(1));
    assert_eq!(store.forget_audit(after(2), 10).await, Ok(1));
    assert_eq!(ids(all(3, |wish| store.audit(wish)).await), ["a3", "a2"]);
}

pub async fn server_settings_are_set_listed_and_unset<S: Collections>(store: &Arc<S>) {
    let setting = |name: &str, value| ServerSetting { name: name.into(), value, by: Some(CLARA.clone()), changed: NOW };
    assert_eq!(store.setting("maintenance").await, Ok(None));
    let (off, on) =
        (setting("maintenance", json!(false)), setting("maintenance", json!({ "until": 5, "$x": ["a.b"] })));
    assert_eq!(store.set_setting(&off).await, Ok(None));
    assert_eq!(store.set_setting(&on).await, Ok(Some(off)));
    assert_eq!(store.setting("maintenance").await.unwrap().unwrap().document, on);
    store.set_setting(&setting("a.$words", json!(["x"]))).await.unwrap();
    let names: Vec<_> = all(1, |wish| store.settings(wish)).await.into_iter().map(|setting| setting.name).collect();
    assert_eq!(names, ["a.$words", "maintenance"]);
    assert_eq!(store.unset_setting("maintenance").await, Ok(true));
    assert_eq!(store.unset_setting("maintenance").await, Ok(false));
}
