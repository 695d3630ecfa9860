//! Making a plan that fails smaller: what it fails without is left out.

use std::time::{Duration, Instant};

use pianorhythm_server::domain::defect::Defect;

use crate::{
    plan::{Act, Plan, Step},
    run::{Violation, run},
};

/// The smallest plan found in this time that still fails, and how.
pub fn shrink(plan: &Plan, planted: Option<Defect>, violation: Violation, time: Duration) -> (Plan, Violation) {
    let start = Instant::now();
    let mut best = (plan.clone(), violation);
    // Nothing after the step at which it fails matters.
    try_steps(&mut best, planted, |plan, at| plan.steps.truncate(at + 1));
    // Runs of steps, from half of all down to single ones; again while that helps.
    let mut length = best.0.steps.len() / 2;
    while length > 0 && start.elapsed() < time {
        let mut from = best.0.steps.len();
        let mut has_shrunk = false;
        while from > 0 && start.elapsed() < time {
            from = from.min(best.0.steps.len());
            let start_at = from.saturating_sub(length);
            has_shrunk |= try_steps(&mut best, planted, |plan, _| drop(plan.steps.drain(start_at..from)));
            from = start_at;
        }
        if !has_shrunk || length > 1 {
            length /= 2;
        }
    }
    // What is left is made plainer.
    for at in 0..best.0.steps.len() {
        if start.elapsed() >= time {
            break;
        }
        for plainer in plainer(&best.0.steps[at]) {
            try_steps(&mut best, planted, |plan, _| plan.steps[at] = plainer.clone());
        }
    }
    best
}

/// Changes the plan where it fails all the same.
fn try_steps(best: &mut (Plan, Violation), planted: Option<Defect>, change: impl FnOnce(&mut Plan, usize)) -> bool {
    let mut plan = best.0.clone();
    change(&mut plan, best.1.at);
    if plan.steps == best.0.steps {
        return false;
    }
    let Some(violation) = run(&plan, planted, false).violation else { return false };
    // Another defect is for another time.
    if violation.kind() != best.1.kind() {
        return false;
    }
    *best = (plan, violation);
    true
}

fn plainer(step: &Step) -> Vec<Step> {
    let with = |act| Step { number: step.number, act };
    match step.act.clone() {
        Act::Play { client, events, asks } => {
            let halves = events.chunks(events.len().div_ceil(2).max(1)).map(<[_]>::to_vec);
            let singles = events.iter().take(8).map(|event| vec![*event]);
            let fewer = halves.chain(singles).filter(|fewer| fewer.len() < events.len());
            fewer.map(|events| with(Act::Play { client, events, asks })).collect()
        }
        Act::Connect { client, user, json: true, room } => vec![with(Act::Connect { client, user, json: false, room })],
        Act::Wait { ms } if ms > 1 => vec![with(Act::Wait { ms: ms / 4 }), with(Act::Wait { ms: ms / 2 })],
        _ => Vec::new(),
    }
}
