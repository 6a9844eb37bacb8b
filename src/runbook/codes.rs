//! Every code that `check` can print, with the long text behind `runbook explain CODE`.
//!
//! A code is never given a second meaning. 0xx: the file; 1xx: the shape; 2xx: names; 3xx: sense.
use super::diagnostic::Code;

/// One code with its texts.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    /// The code.
    pub code: Code,
    /// A title of a few words.
    pub title: &'static str,
    /// Why it matters and what to do.
    pub text: &'static str,
}

/// The texts of a code, found by its name in any case.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explained> {
    ALL.iter().find(|one| one.code.0.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $text:literal)*) => {
        $(#[doc = $title] pub const $name: Code = Code($code);)*
        /// Every code, in ascending order.
        pub const ALL: &[Explained] = &[$(Explained { code: $name, title: $title, text: $text }),*];
    };
}

codes! {
    NOT_UTF8 "RB001" "the file is not UTF-8"
    "A runbook is read as UTF-8, with or without a byte order mark. Convert it, for example with `iconv -f latin1 -t utf-8`."
    TOO_LARGE "RB002" "the file is larger than 1 MiB"
    "A runbook is written by people and read by people before it restarts a host. A megabyte is either the wrong file or a generated one; generate a smaller one."
    SYNTAX "RB003" "not valid YAML"
    "The parser could not go on. The place is where it noticed, which is often just behind the mistake: look for a lost quote, a missing `: `, or a line indented by one space too few or too many."
    TAB "RB004" "a tab in the indentation"
    "YAML forbids tabs in indentation, since editors disagree about their width. Replace them by spaces."
    SECOND_DOCUMENT "RB005" "more than one document"
    "`---` starts another document. Reading only the first would silently drop the rest of a maintenance plan, so the file is refused."
    EMPTY_FILE "RB006" "the file is empty"
    "Nothing but spaces and comments. `runbooks/restart-staging.yaml` is a commented example to start from."
    TOO_MUCH "RB007" "more nesting, values or aliases than a runbook needs"
    "Aliases can make a small file unfold into gigabytes. At most 32 levels, 250000 values and 1000 aliases are read."
    BARE_STAR "RB008" "an unquoted `*`"
    "At the beginning of a plain value `*name` refers to an anchor `&name`. A pattern such as `*-worker` must be quoted: `\"*-worker\"`."
    MERGE_KEY "RB009" "a merge key `<<`"
    "Merge keys left YAML in version 1.2, and readers of a runbook should see what a step does without unfolding it. Write the entries out; plain aliases are fine."

    UNKNOWN_KEY "RB101" "an unknown key"
    "A misspelt key would otherwise be ignored in silence, and with it a limit or a guard. The list of keys for each place is in `runbook schema`."
    MISSING_KEY "RB102" "a missing key"
    "This entry cannot be understood without the key named."
    DUPLICATE_KEY "RB103" "the same key twice"
    "Most YAML readers keep the last of two equal keys in silence. One of them is a mistake; only you know which."
    WRONG_TYPE "RB104" "the wrong type"
    "A list where text belongs, nothing where a list belongs, and so on. Text that looks like a number or a truth value needs quotes: `name: \"1.10\"`."
    EMPTY "RB105" "empty where something is needed"
    "An empty list of phases, steps or checks would succeed without having done anything."
    YES_NO "RB106" "`yes` and `no` are text"
    "Since YAML 1.2 only `true` and `false` are truth values. Older readers took `no`, `off` and even the country code NO for false."
    NOT_ONE_OF "RB107" "not one of the values allowed"
    "The key takes one of a small set of words, which the message lists."
    MEASURE "RB108" "a number, size, share or length of time that cannot be read"
    "Lengths of time need their unit (`90s`, `15m`, `2h30m`), sizes too (`512MiB`, `10GB`), shares a percent sign (`20%`). A bare number would leave the unit to guessing."
    ONE_ACTION "RB109" "a step without exactly one action"
    "A step has one action key; beside it only `name`, `within`, `retry`, `on_failure`, `on_unknown`, `confirm` and `takes`. Two wishes are two steps, because each is journaled, retried and resumed by itself."
    UNKNOWN_ACTION "RB110" "an unknown action or check"
    "The message lists what there is. `command` is the way out for what no action covers."
    VERSION "RB111" "a version of the language that this program does not know"
    "`version: 1` is the only one so far. A runbook of a later version may mean other things by the same words."
    NAME "RB112" "a name with other characters than letters, digits, `-`, `_` and `.`"
    "Names are typed on command lines and stand in journals and file names. A name begins with a letter or a digit, and is at most 64 characters long; a step's name is not a number alone."
    CHOICE "RB113" "keys that exclude or need each other"
    "Exactly one, or at least one, of a group of keys must be there; the message says which."
    UNIT_NAME "RB114" "not the name of a systemd unit"
    "Write the full name with its suffix, such as `redis-server@bull01.service`; braces list alternatives: `redis-server@bull{01,02}.service`."
    ADDRESS "RB115" "an address that cannot be read"
    "Redis: `redis://host:port`, `rediss://host:port` or `redis+unix:///path`; HTTP: `http://...` or `https://...`; TCP: `host:port`."
    ABSOLUTE "RB116" "a path that is not absolute"
    "A run is resumed by systemd from another directory, so a relative path would mean another file."
    TIME "RB117" "a time of day, day or time zone that cannot be read"
    "`opens: \"10:00\"`, `days: [sat, sun]`, `timezone: Europe/Berlin`."
    JSON_PATH "RB118" "a JSON path that cannot be read"
    "Paths begin at `$` and name members and elements: `$.shards[0].state`. `.length()` at the end counts: `$.shards.length()`."

    UNKNOWN_REDIS "RB201" "a Redis instance that is not declared"
    "Steps name instances of the `redis:` section, or `masters`, `replicas` or `all`."
    UNKNOWN_UNITS "RB202" "units that are not declared"
    "Steps name entries of `units:`, or of `redis:` or `pm2:` that have a unit."
    UNKNOWN_PM2 "RB203" "a PM2 place that is not declared"
    "Steps name entries of the `pm2:` section."
    UNKNOWN_PHASE "RB204" "a phase that does not exist"
    "`back_out` lists names of phases of the same runbook."
    UNKNOWN_GROUP "RB205" "an app group that does not exist"
    "`needs: { groups: [...] }` lists names of groups of the same PM2 place."
    SAME_NAME "RB206" "the same name twice"
    "Phases, steps of a phase, groups of a place, and the entries of `redis:`, `units:` and `pm2:` together, are told apart by their names."
    CIRCLE "RB207" "groups or places that wait for each other in a circle"
    "Each waits for the next and the last for the first, so none of them could ever start. Remove one of the `needs`."
    REPLICA_OF "RB208" "a replica of something that is not a master"
    "`of` belongs to replicas and names an instance of this runbook (a replica may follow another replica, but not itself in a circle)."
    SELECTS_NOTHING "RB209" "a selector without any instance"
    "A step for `replicas` in a runbook without replicas would succeed without having looked at anything."
    NEVER_MATCHES "RB210" "a group that gets no app"
    "The first group whose pattern matches has the app; an earlier group with `*` leaves nothing for later ones."
    COVERS_NOTHING "RB211" "a pattern of `may_differ` that covers nothing"
    "After a run everything is held against the baseline, and `may_differ` names what may have changed: `machine/memory`, `units/x.service/state`, `redis/bds/maxmemory`, `pm2/services/org-*`. A pattern that can meet nothing is a slip, and the difference it was meant for would be called unexpected."
    SAME_HOME "RB212" "two PM2 places of one home"
    "A PM2 home has one daemon and one list of apps. Two entries of `pm2:` on the same directory would each record, stop and restore all of them, and the second would take the first one's work for a change. One entry is enough: its `groups` divide the apps."

    LONGER_THAN_WINDOW "RB301" "a step that may take longer than the window"
    "`within` is the time after which a step has failed. One that exceeds the whole window is either a slip of the unit or a window too small."
    ENV_SECRET "RB302" "a secret from the environment that is needed after the reboot"
    "The environment of your terminal is gone when systemd resumes the run. Use `{ file: /etc/runbook/... }` or `{ credential: ... }`."
    PLAIN_SECRET "RB303" "a secret written into the runbook"
    "Runbooks are copied into journals, reports and repositories. Put the secret into a file that only root reads, and write `{ file: /path }`. If this text was ever committed, change the password."
    NOT_SAVED "RB304" "a PM2 list that was never saved"
    "`pm2_stopped`, `pm2_restored` and `pm2_as_saved` work from the snapshot that an earlier `pm2_saved` of the same place took. A phase in `back_out` does not count as earlier."
    TWO_REBOOTS "RB305" "more than one reboot"
    "A reboot is proven by a boot id that differs from the one at the beginning of the run, so a second `rebooted` would look done at once. Write two runbooks."
    REBOOT_UNCHECKED "RB306" "nothing is checked after the reboot"
    "The machine comes back before its services do. Put `redis_loaded`, `units_active` or `healthy` behind `rebooted`."
    NO_BACK_OUT "RB307" "service is taken away and there is no way back"
    "Between the first step that takes service away and the reboot, aborting or failing runs the `back_out` phases. Without them everything stays down until a person starts it."
    REBOOT_FAILURE "RB308" "a reboot that may fail and go on"
    "What follows a reboot relies on it. `on_failure: continue`, `on_unknown: skip` or `rerun`, and `retry` are refused beside `rebooted`."
    RETRY_ONCE "RB309" "a retry of something that may only happen once"
    "A command without `repeatable: true` runs at most once. Declare it repeatable, or remove `retry` or `on_unknown: rerun`."
    CLOCK_GAP "RB310" "a time of day that does not exist on some day"
    "In the night when the clock goes forward an hour is missing. A window that opens in it opens an hour later than written. Choose another hour or `timezone: UTC`."
    CLOCK_FOLD "RB311" "a time of day that exists twice on some day"
    "In the night when the clock goes back an hour comes twice. A window that opens in it opens at the first. Choose another hour or `timezone: UTC`."
    NO_BASELINE "RB312" "a share of a baseline that does not exist"
    "Counts of the baseline are recorded for declared instances. For a bare `url` write a number of keys."
    BACK_OUT_ACTION "RB313" "a way back that leads on"
    "The `back_out` phases bring service back. They must neither reboot nor stop anything."
    UNCONFIRMED "RB314" "a reboot without a question"
    "`confirm: { type: name, because: ... }` asks once more before users are cut off; `--yes --confirm NAME` answers it unattended."
    COUNT "RB315" "a number out of range"
    "The message names the range. Limits are wide: who meets one has most likely slipped by a digit or a unit."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_explained() {
        assert!(ALL.is_sorted_by(|a, b| a.code < b.code), "ascending and each once");
        for one in ALL {
            assert!(
                one.code.0.len() == 5 && one.text.len() > 40 && one.text.ends_with(['.', '`', '?']),
                "{}",
                one.code.0
            );
        }
        assert_eq!(explain("rb101").map(|one| one.code), Some(UNKNOWN_KEY));
        assert!(explain("RB999").is_none());
    }
}
