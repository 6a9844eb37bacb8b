//! A good runbook, and one mistake after another made in it.

/// A runbook that loads without a word. Cases replace a piece of it by a mistake.
pub(super) const SMALL: &str = r#"version: 1
name: small
hosts: [stg-1]
window: { days: [sat], opens: "10:00", length: 3h, timezone: UTC }
back_out: [restore]
redis:
  a: { url: "redis://127.0.0.1:6379", password: { file: /etc/a.pass } }
  b: { url: "redis://127.0.0.1:6380", role: replica, of: a, unit: r@b.service }
units:
  router: { unit: router.service }
pm2:
  apps:
    user: deploy
    home: /home/deploy/.pm2
    groups:
      - { name: ids, apps: ["id*"], needs: { redis: [a], units: [router, b] } }
      - { name: rest, apps: ["*"], needs: { groups: [ids] } }
phases:
  - name: save
    steps:
      - pm2_saved: { pm2: apps }
  - name: stop
    steps:
      - pm2_stopped: {}
  - name: reboot
    steps:
      - rebooted: { how: reboot }
        within: 15m
        confirm: { type: name, because: users }
  - name: restore
    steps:
      - redis_loaded: { instances: all }
        within: 1h
      - name: start
        pm2_restored: { pm2: apps, at_once: auto }
      - healthy: { checks: [ { redis: { instances: masters } } ] }
"#;

/// What is replaced, by what, and the code, line and column expected of each finding.
pub(super) struct Case(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [(&'static str, u32, u32)],
);

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case("tab", "  - name: stop\n", "\t- name: stop\n", &[("RB004", 22, 1)]),
    Case("two documents", "phases:\n", "---\nphases:\n", &[("RB005", 18, 1)]),
    Case("lost quote", "name: small", "name: \"small", &[("RB003", 4, 32)]),
    Case("one space too few", "    steps:\n      - pm2_stopped", "   steps:\n      - pm2_stopped", &[("RB003", 23, 4)]),
    Case("one home twice", "phases:\n  - name: save", "  again: { user: deploy, home: /home/x/.././deploy/.pm2/ }\nphases:\n  - name: save", &[("RB212", 18, 32), ("RB102", 25, 9)]),
    Case("bare star", "apps: [\"*\"]", "apps: [*]", &[("RB008", 17, 30)]),
    Case("bare star with text", "apps: [\"id*\"]", "apps: [*-worker]", &[("RB008", 16, 29)]),
    Case("bare star in a block", "{ name: rest, apps: [\"*\"], needs", "{ name: rest, apps: *rest, needs", &[("RB008", 17, 29)]),
    Case("unknown anchor", "name: small", "name: *small", &[("RB008", 2, 7)]),
    Case("merge key", "how: reboot }", "how: reboot, <<: { a: b } }", &[("RB009", 27, 34)]),
    Case("duplicate key", "hosts: [stg-1]", "hosts: [stg-1]\nname: again", &[("RB103", 4, 1)]),
    Case("duplicate key in a flow map", "{ how: reboot }", "{ how: reboot, how: poweroff }", &[("RB103", 27, 34)]),
    Case("unknown key", "        within: 15m", "        witihn: 15m", &[("RB101", 28, 9)]),
    Case("unknown keys", "back_out: [restore]", "back_out: [restore]\nbackout: x\nhost: y", &[("RB101", 6, 1), ("RB101", 7, 1)]),
    Case("unknown key of a phase", "  - name: stop\n", "  - name: stop\n    timeout: 5m\n", &[("RB101", 23, 5)]),
    Case("missing key", "name: small\n", "", &[("RB102", 1, 1)]),
    Case("missing keys in one entry", "    user: deploy\n    home: /home/deploy/.pm2\n", "", &[("RB102", 13, 5), ("RB102", 13, 5)]),
    Case("empty phases", "", "phases:\n", &[("RB104", 18, 1)]),
    Case("empty list", "hosts: [stg-1]", "hosts: []", &[("RB105", 3, 8)]),
    Case("null list", "      - pm2_saved: { pm2: apps }", "", &[("RB104", 20, 5)]),
    Case("number for text", "user: deploy", "user: 1000", &[("RB104", 13, 11)]),
    Case("text for a list", "needs: { groups: [ids] }", "needs: ids", &[("RB104", 17, 43)]),
    Case("list for text", "name: small", "name: [small]", &[("RB104", 2, 8)]),
    Case("no", "steps:\n      - pm2_saved: { pm2: apps }", "steps:\n      - pm2_saved: { pm2: apps, allow_fewer: no }", &[("RB106", 21, 46)]),
    Case("bare number of minutes", "within: 15m", "within: 15", &[("RB108", 28, 17)]),
    Case("unreadable duration", "within: 15m", "within: soon", &[("RB108", 28, 17)]),
    Case("zero", "within: 15m", "within: 0s", &[("RB315", 28, 17)]),
    Case("two actions", "      - pm2_stopped: {}", "      - pm2_stopped: {}\n        units_active: {}", &[("RB109", 25, 9)]),
    Case("no action", "      - pm2_stopped: {}", "      - within: 5m", &[("RB109", 24, 9)]),
    Case("unknown action", "pm2_stopped: {}", "pm2-stoped: {}", &[("RB110", 24, 9)]),
    Case("bare word", "- pm2_stopped: {}", "- pm2_stopped", &[("RB104", 24, 9)]),
    Case("unknown check", "{ redis: { instances: masters } }", "{ reddis: { instances: masters } }", &[("RB110", 36, 32)]),
    Case("version", "version: 1", "version: 2", &[("RB111", 1, 10)]),
    Case("name with a blank", "name: small", "name: small one", &[("RB112", 2, 7)]),
    Case("numeric step name", "name: start", "name: \"7\"", &[("RB112", 34, 15)]),
    Case("not one of", "how: reboot", "how: powerof", &[("RB107", 27, 26)]),
    Case("unit without suffix", "unit: router.service", "unit: router", &[("RB114", 10, 19)]),
    Case("open brace", "unit: router.service", "unit: \"router{a,.service\"", &[("RB114", 10, 19)]),
    Case("address", "redis://127.0.0.1:6380", "127.0.0.1:6380", &[("RB115", 8, 13)]),
    Case("relative path", "/home/deploy/.pm2", "~/.pm2", &[("RB116", 14, 11)]),
    Case("day", "days: [sat]", "days: [saturday]", &[("RB107", 4, 18)]),
    Case("time", "opens: \"10:00\"", "opens: \"25:00\"", &[("RB117", 4, 31)]),
    Case("zone", "timezone: UTC", "timezone: CEST", &[("RB117", 4, 62)]),
    Case("password in the file", "password: { file: /etc/a.pass }", "password: hunter2", &[("RB303", 7, 49)]),
    Case("password in the address", "redis://127.0.0.1:6380", "redis://:hunter2@127.0.0.1:6380", &[("RB303", 8, 13)]),
    Case("environment over a reboot", "{ file: /etc/a.pass }", "{ env: PASS }", &[("RB302", 7, 56)]),
    Case("trust without TLS", "{ file: /etc/a.pass }", "{ file: /etc/a.pass }, tls: {}", &[("RB113", 7, 77)]),
    Case(
        "a certificate without its key",
        "redis://127.0.0.1:6379\"",
        "rediss://127.0.0.1:6379\", tls: { cert: /etc/us.crt }",
        &[("RB113", 7, 47)],
    ),
    Case("two places of a secret", "{ file: /etc/a.pass }", "{ file: /etc/a.pass, env: A }", &[("RB113", 7, 51)]),
    Case("unknown instance", "instances: masters", "instances: [aa]", &[("RB201", 36, 53)]),
    Case("misspelt selector", "instances: masters", "instances: master", &[("RB201", 36, 52)]),
    Case("unknown place", "pm2_saved: { pm2: apps }", "pm2_saved: { pm2: app }", &[("RB203", 21, 27)]),
    Case("unknown unit", "units: [router, b]", "units: [routr, a]", &[("RB202", 16, 66), ("RB202", 16, 73)]),
    Case("unknown group", "groups: [ids]", "groups: [id]", &[("RB205", 17, 54)]),
    Case("unknown phase", "back_out: [restore]", "back_out: [restor]", &[("RB204", 5, 12)]),
    Case("two phases", "  - name: stop", "  - name: save", &[("RB206", 22, 11)]),
    Case("one name in two sections", "  router: {", "  a: {", &[("RB206", 10, 3), ("RB202", 16, 66)]),
    Case("circle of groups", "needs: { redis: [a], units", "needs: { groups: [rest], units", &[("RB207", 16, 17)]),
    Case("an app of its own group", "needs: { groups: [ids] }", "needs: { apps: [web] }", &[("RB207", 17, 17)]),
    Case("a circle through an app", "needs: { redis: [a], units", "needs: { apps: [web], units", &[("RB207", 16, 17)]),
    Case("a need by a pattern", "needs: { groups: [ids] }", "needs: { apps: [\"id*\"] }", &[("RB112", 17, 52)]),
    Case("losses of nothing", "needs: { groups: [ids] }", "needs: { lost_at_most: 1 }", &[("RB113", 17, 59)]),
    Case("replica of itself", "of: a", "of: b", &[("RB208", 8, 58)]),
    Case("master with of", "role: replica, of: a", "role: master, of: a", &[("RB208", 8, 57)]),
    Case("group behind a star", "apps: [\"id*\"]", "apps: [\"*\"]", &[("RB210", 17, 17)]),
    Case("covers nothing", "back_out: [restore]", "back_out: [restore]\nmay_differ: [redis/zz, redis/a, redis/a/maxmemory]", &[("RB211", 6, 14), ("RB211", 6, 33)]),
    Case("longer than the window", "within: 1h", "within: 4h", &[("RB301", 33, 17)]),
    Case("not saved", "      - pm2_saved: { pm2: apps }", "      - units_active: {}", &[("RB304", 24, 9), ("RB304", 35, 9)]),
    Case("two reboots", "      - redis_loaded", "      - rebooted: {}\n      - redis_loaded", &[("RB305", 32, 9), ("RB313", 32, 9)]),
    Case("unconfirmed", "        confirm: { type: name, because: users }\n", "", &[("RB314", 27, 9)]),
    Case("no way back", "back_out: [restore]\n", "", &[("RB307", 23, 9)]),
    Case("a way back that stops", "back_out: [restore]", "back_out: [stop]", &[("RB313", 24, 9)]),
    Case("retry of a reboot", "        within: 15m\n", "        within: 15m\n        retry: { times: 2 }\n", &[("RB308", 29, 9)]),
    Case("retry of a command", "- pm2_stopped: {}", "- pm2_stopped: {}\n      - command: { argv: [x] }\n        retry: { times: 1 }", &[("RB309", 26, 9)]),
    Case("share without baseline", "{ instances: masters }", "{ url: \"redis://h:1\", keys_at_least: 90% }", &[("RB312", 36, 76)]),
    Case("out of range", "at_once: auto", "at_once: 0", &[("RB315", 35, 45)]),
    Case("json path", "{ redis: { instances: masters } }", "{ http: { url: \"http://h/\", json: { status: { eq: 1 } } } }", &[("RB118", 36, 66)]),
    Case("json path of a gate only", "{ redis: { instances: masters } }", "{ http: { url: \"http://h/\", json: { $.a.size(): { eq: 1 } } } }", &[("RB118", 36, 66)]),
    Case("an answer in no time", "{ redis: { instances: masters } }", "{ http: { url: \"http://h/\", answers_within: 20ms } }", &[("RB315", 36, 74)]),
    Case("comparison", "{ redis: { instances: masters } }", "{ http: { url: \"http://h/\", json: { $.a: { equals: 1 } } } }", &[("RB107", 36, 73)]),
    Case("plain authorization", "{ redis: { instances: masters } }", "{ http: { url: \"http://h/\", headers: { Authorization: abc } } }", &[("RB303", 36, 84)]),
    Case("host without a question", "{ redis: { instances: masters } }", "{ host: { required: true } }", &[("RB113", 36, 40)]),
    Case("check with two kinds", "{ redis: { instances: masters } }", "{ redis: { instances: all }, tcp: { addr: \"h:1\" } }", &[("RB109", 36, 32)]),
    Case("tcp without port", "{ redis: { instances: masters } }", "{ tcp: { addr: localhost } }", &[("RB115", 36, 45)]),
    Case("unknown tag", "name: small", "name: !include small", &[("RB003", 2, 16)]),
    Case("list as key", "hosts: [stg-1]", "hosts: [stg-1]\n? [a, b]\n: c", &[("RB104", 4, 4)]),
    Case("command as text", "- pm2_stopped: {}", "- command: { argv: systemctl stop x }", &[("RB104", 24, 26)]),
    Case("hidden escape", "name: small", "name: \"a\\eb\"", &[("RB104", 2, 7)]),
    Case("secret near a syntax error", "password: { file: /etc/a.pass } }", "password: hunter2 ]", &[("RB003", 7, 6)]),
    Case("hidden escape in text", "because: users", "because: \"a\\eb\"", &[("RB104", 29, 41)]),
    Case("nothing to enable", "      - pm2_stopped: {}", "      - pm2_stopped: {}\n      - command: {}", &[("RB102", 25, 9)]),
    Case("whole: empty", "", "", &[("RB006", 1, 1)]),
    Case("whole: comments", "", "# nothing\n\n", &[("RB006", 1, 1)]),
    Case("whole: a list", "", "- a\n- b\n", &[("RB104", 1, 3)]),
    Case("whole: text", "", "restart please", &[("RB104", 1, 1)]),
    Case("whole: no replicas", "", "version: 1\nname: x\nhosts: [h]\nredis: { a: { url: \"redis://h\" } }\nphases:\n  - name: p\n    steps:\n      - redis_loaded: { instances: replicas }\n      - units_enabled: {}\n", &[("RB209", 8, 36), ("RB209", 9, 9)]),
    Case("whole: nothing after the reboot", "", "version: 1\nname: x\nhosts: [h]\nphases:\n  - name: p\n    steps:\n      - rebooted:\n        confirm: name\n", &[("RB306", 7, 9)]),
    Case("whole: alias bomb", "", BOMB, &[("RB007", 5, 11)]),
];

/// Nine anchors, each nine times the one before: 9^8 values.
const BOMB: &str = "a: &a [x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]
";
