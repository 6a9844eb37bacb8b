//! The reference: what must be decided, stated without journal, fold, table or executor. Eight steps, one array each.

use super::puppet::Word;
use crate::journal::checkpoint::{End, Resolution};

pub(super) const A: usize = 0;
pub(super) const S: usize = 2;
pub(super) const C: usize = 3;
pub(super) const R: usize = 4;
pub(super) const D: usize = 5;
pub(super) const F: usize = 7;
pub(super) const STEPS: [&str; 8] =
    ["before/a", "before/b", "away/s", "away/c", "down/r", "after/d", "after/e", "mend/f"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::execute::tests) enum Stand {
    Fresh,
    /// Begun by a process that is gone.
    Begun,
    Failed,
    Unknown,
    Done,
}

/// What a sitting comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::execute::tests) enum Comes {
    Done,
    BackedOut,
    NotBack,
    GivenUp,
    Failed(usize),
    Unknown(usize),
    Paused,
    Waiting,
    Crashed,
    Stale,
    BootLoop,
}

/// What is asked of a sitting before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::execute::tests) enum Wish {
    Nothing,
    Pause,
    Abort,
}

#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) stand: [Stand; 8],
    pub(super) doubt: [bool; 8],
    granted: [bool; 8],
    /// Evidence of a doubt: whether the effect happened.
    traced: [Option<bool>; 8],
    /// The effect is on record, the end of the step is not.
    applied: [bool; 8],
    /// What the world has seen of each command; for the reboot, how often the machine was asked.
    pub(super) effects: [u32; 8],
    /// Left out, by a person or by what the runbook says.
    left_out: [bool; 8],
    /// The boot that a reboot was asked in, until it is proven.
    asked: Option<u32>,
    pub(super) rebooted: bool,
    /// The reboot step is done by another boot id, or by a person's word.
    down: bool,
    pub(super) backing_out: bool,
    pub(super) ended: Option<End>,
    pub(super) boot: u32,
    /// Boots that were resumed by themselves since something was achieved.
    vain: Vec<u32>,
}

impl Reference {
    pub(super) fn new() -> Self {
        Self {
            stand: [Stand::Fresh; 8],
            doubt: [false; 8],
            granted: [false; 8],
            traced: [None; 8],
            applied: [false; 8],
            effects: [0; 8],
            left_out: [false; 8],
            asked: None,
            rebooted: false,
            down: false,
            backing_out: false,
            ended: None,
            boot: 0,
            vain: Vec::new(),
        }
    }

    fn done(&mut self, step: usize) {
        self.stand[step] = Stand::Done;
        self.vain.clear();
    }

    pub(super) fn waits(&self) -> bool {
        self.asked.is_some() && self.stand[R] != Stand::Done
    }

    fn backs_out(&self) -> bool {
        self.stand[S] != Stand::Fresh && !self.rebooted && !self.down && !self.waits()
    }

    /// May a person rule so?
    pub(super) fn may_rule(&self, step: usize, how: Resolution) -> bool {
        let open = matches!(self.stand[step], Stand::Begun | Stand::Failed | Stand::Unknown);
        open && (step != R || !self.waits() || how == Resolution::Skip)
    }

    pub(super) fn rule(&mut self, step: usize, how: Resolution) {
        self.vain.clear();
        match how {
            Resolution::Rerun => self.granted[step] = true,
            Resolution::Done | Resolution::Skip => {
                self.stand[step] = Stand::Done;
                self.left_out[step] = how == Resolution::Skip;
                self.down |= step == R && how == Resolution::Done;
            }
        }
    }

    /// Whether the run would be taken up here at all.
    pub(super) fn refuses(&self, unattended: bool, stale: bool) -> Option<Comes> {
        let others = self.vain.iter().filter(|boot| **boot != self.boot).count();
        match () {
            () if !unattended => None,
            () if stale => Some(Comes::Stale),
            () if others >= 3 => Some(Comes::BootLoop),
            () => None,
        }
    }

    pub(super) fn sit(&mut self, first: bool, unattended: bool, wish: Wish, words: &mut dyn FnMut() -> Word) -> Comes {
        match (first, unattended) {
            (true, _) => {}
            (false, false) => self.vain.clear(),
            (false, true) if !self.vain.contains(&self.boot) => self.vain.push(self.boot),
            (false, true) => {}
        }
        if self.backing_out {
            return self.back_out(words);
        }
        if let Some(next) = (0..8).find(|step| self.stand[*step] != Stand::Done)
            && wish != Wish::Nothing
        {
            return self.wished(next, wish, words);
        }
        for step in 0..8 {
            if self.stand[step] == Stand::Done {
                continue;
            }
            match self.step(step, words) {
                None => {}
                Some(Comes::Failed(_) | Comes::Unknown(_)) if self.backs_out() => return self.back_out(words),
                Some(comes) => return comes,
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Comes {
        let lossy = self.left_out.contains(&true);
        self.ended = Some(if lossy { End::DoneWithLosses } else { End::Done });
        Comes::Done
    }

    fn wished(&mut self, _next: usize, wish: Wish, words: &mut dyn FnMut() -> Word) -> Comes {
        if wish == Wish::Pause {
            return Comes::Paused;
        }
        self.close_applied();
        if self.stand.iter().all(|stand| *stand == Stand::Done) {
            return self.finish();
        }
        if self.backs_out() {
            return self.back_out(words);
        }
        if self.stand[S] != Stand::Fresh {
            return Comes::Paused;
        }
        self.close();
        if let Some(unknown) = (0..8).find(|step| self.stand[*step] == Stand::Unknown) {
            return Comes::Unknown(unknown);
        }
        self.ended = Some(End::Failed);
        Comes::GivenUp
    }

    /// A doubt that evidence settles: `true` where it proves that the effect happened.
    fn settle(&mut self, step: usize) -> bool {
        let open = self.doubt[step] && self.stand[step] != Stand::Done;
        let trace = self.traced[step].take().filter(|_| open);
        self.doubt[step] &= trace.is_none();
        trace == Some(true)
    }

    /// What has happened as a whole is done, although its process died before it said so.
    fn close_applied(&mut self) {
        for step in 0..8 {
            if self.stand[step] == Stand::Begun && self.applied[step] && !self.doubt[step] {
                self.done(step);
            }
        }
    }

    fn close(&mut self) {
        for step in (0..8).filter(|step| *step != R) {
            let was_open = self.doubt[step] && self.traced[step].is_some();
            if was_open && self.stand[step] != Stand::Done {
                let happened = self.settle(step);
                match happened {
                    true => self.done(step),
                    false => self.stand[step] = Stand::Failed,
                }
            }
        }
        self.close_applied();
        for step in 0..8 {
            if self.stand[step] == Stand::Begun {
                self.stand[step] = if self.doubt[step] { Stand::Unknown } else { Stand::Failed };
            }
        }
    }

    fn back_out(&mut self, words: &mut dyn FnMut() -> Word) -> Comes {
        if !self.backing_out {
            self.close();
            self.backing_out = true;
        }
        if self.stand[F] != Stand::Done {
            match self.step(F, words) {
                Some(Comes::Crashed) => return Comes::Crashed,
                // What is to bring things back has not: it is not over.
                Some(_) => return Comes::NotBack,
                None => {}
            }
        }
        let lossy = self.left_out[F] || self.stand.contains(&Stand::Unknown);
        self.ended = Some(if lossy { End::BackedOutWithLosses } else { End::BackedOut });
        Comes::BackedOut
    }

    /// One step; `None` when it is done.
    fn step(&mut self, step: usize, words: &mut dyn FnMut() -> Word) -> Option<Comes> {
        if step == R {
            return self.reboot(words);
        }
        if step == S {
            self.done(S);
            return None;
        }
        let repeatable = matches!(step, A | F);
        if self.settle(step) {
            self.done(step);
            return None;
        }
        if self.doubt[step] && !repeatable && !self.granted[step] {
            if step == C {
                self.done(C);
                self.left_out[C] = true;
                return None;
            }
            self.stand[step] = Stand::Unknown;
            return Some(Comes::Unknown(step));
        }
        self.doubt[step] = false;
        if self.applied[step] {
            self.done(step);
            return None;
        }
        self.granted[step] = false;
        let word = words();
        self.traced[step] = match word {
            Word::Traced { happened } => Some(happened),
            _ => None,
        };
        self.effects[step] += u32::from(word.happens());
        match word {
            Word::Ok => {
                self.done(step);
                None
            }
            Word::Fails | Word::TimesOut => {
                self.stand[step] = Stand::Failed;
                Some(Comes::Failed(step))
            }
            Word::Unknown { .. } => {
                (self.stand[step], self.doubt[step]) = (Stand::Unknown, true);
                Some(Comes::Unknown(step))
            }
            Word::Crash { .. } | Word::Traced { .. } => {
                (self.stand[step], self.doubt[step]) = (Stand::Begun, true);
                Some(Comes::Crashed)
            }
            Word::CrashAfterOutcome => {
                (self.stand[step], self.applied[step]) = (Stand::Begun, true);
                Some(Comes::Crashed)
            }
        }
    }

    fn reboot(&mut self, words: &mut dyn FnMut() -> Word) -> Option<Comes> {
        match self.asked {
            Some(boot) if boot == self.boot && self.waits() => return Some(Comes::Waiting),
            Some(_) => {
                self.rebooted = true;
                self.asked = None;
                self.done(R);
                return None;
            }
            // Somebody else's reboot does as well.
            None if self.boot > 0 => {
                self.down = true;
                self.done(R);
                return None;
            }
            None => {}
        }
        let word = words();
        self.effects[R] += u32::from(word.happens());
        self.asked = Some(self.boot);
        self.stand[R] = Stand::Begun;
        match word {
            Word::Crash { .. } | Word::Traced { .. } => Some(Comes::Crashed),
            Word::Fails => {
                (self.asked, self.stand[R]) = (None, Stand::Failed);
                Some(Comes::Failed(R))
            }
            _ => Some(Comes::Waiting),
        }
    }
}
