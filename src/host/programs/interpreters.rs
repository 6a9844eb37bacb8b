//! Programs that execute what their words name: which of these is a script, a module, or the text of a shell.

use super::Word;

/// How one kind of program reads its words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Its first operand is a script.
    takes_script: bool,
    /// Letters of short options behind which no script follows; they may stand among others (`-ec`).
    code: &'static str,
    /// Long options that do the same.
    code_words: &'static [&'static str],
    /// Options with a value that is nothing to execute.
    valued: &'static [&'static str],
    /// Options with a value from which code is read: a file or a directory.
    loads: &'static [&'static str],
    /// Its code is a shell's.
    shell: bool,
    /// It executes what the directory that it works in tells it to.
    in_cwd: bool,
    /// It executes the words behind its options.
    pub(super) wraps: bool,
}

/// What the words name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) script: Option<String>,
    pub(super) loads: Vec<String>,
    pub(super) shell_text: Option<String>,
    pub(super) works_in_cwd: bool,
}

const SHELL: Known = Known {
    takes_script: true,
    code: "c",
    code_words: &[],
    valued: &["-o", "+o", "-O", "+O"],
    loads: &["--rcfile", "--init-file"],
    shell: true,
    in_cwd: false,
    wraps: false,
};
const PYTHON: Known =
    Known { code: "cm", valued: &["-W", "-X", "--check-hash-based-pycs"], shell: false, loads: &[], ..SHELL };
const NODE: Known = Known {
    code: "ep",
    code_words: &["--eval", "--print"],
    valued: &["-C", "--conditions", "--stack-trace-limit"],
    loads: &["-r", "--require", "--import", "--loader", "--experimental-loader", "--env-file"],
    ..PYTHON
};
const PERL: Known = Known { code: "eE", code_words: &[], valued: &[], loads: &["-I"], ..PYTHON };
const RUBY: Known = Known { code: "e", loads: &["-I", "-r", "-C"], ..PERL };
const PHP: Known =
    Known { code: "rBRE", valued: &["-d", "-S", "-t"], loads: &["-f", "--file", "-c", "--php-ini"], ..PERL };
const AWK: Known =
    Known { takes_script: false, code: "", valued: &["-v", "-F"], loads: &["-f", "--file"], code_words: &[], ..PYTHON };
const WRAPPER: Known = Known { wraps: true, takes_script: false, code: "", valued: &[], ..PYTHON };
const IN_CWD: Known = Known {
    in_cwd: true,
    takes_script: false,
    code: "",
    valued: &[],
    loads: &["-C", "--directory", "--prefix", "--cwd", "-f", "--file", "--makefile"],
    ..PYTHON
};

/// What is known of a program of this name; a version behind it does not count (`python3.12`).
pub(super) fn known(name: &str) -> Option<Known> {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    Some(match plain {
        "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "rbash" => SHELL,
        "python" | "pypy" => PYTHON,
        "node" | "nodejs" => NODE,
        "perl" => PERL,
        "ruby" => RUBY,
        "php" => PHP,
        "awk" | "gawk" | "mawk" => AWK,
        "env" | "nice" | "ionice" | "nohup" | "setsid" | "stdbuf" | "timeout" | "taskset" | "chrt" | "flock"
        | "time" | "xargs" | "busybox" | "sudo" | "runuser" | "setpriv" | "chroot" | "unshare" | "nsenter"
        | "systemd-run" | "systemd-cat" | "strace" | "find" | "run-parts" | "start-stop-daemon" => WRAPPER,
        "make" | "gmake" | "just" | "rake" | "npm" | "npx" | "yarn" | "pnpm" | "composer" | "bundle" => IN_CWD,
        _ => return None,
    })
}

/// Whether this may stand in front of `=` as a variable's name.
pub(super) fn is_variable(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fine) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Variables whose value names where code is loaded from.
pub(super) fn loads_code(name: &str) -> bool {
    let names = ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PYTHONPATH", "PYTHONSTARTUP", "NODE_PATH"];
    names.contains(&name) || ["PERL5LIB", "RUBYLIB", "BASH_ENV", "ENV"].contains(&name)
}

impl Known {
    /// Reads the words behind the program's own name. A word that is not known ends it: nothing certain follows.
    pub(super) fn read(&self, words: &[Word]) -> Found {
        let mut found = Found { works_in_cwd: self.in_cwd, ..Found::default() };
        if self.wraps {
            return found;
        }
        let mut rest = words.iter();
        let mut code = false;
        while let Some(Some(word)) = rest.next() {
            let operand = word == "-" || !(word.starts_with('-') || (self.shell && word.starts_with('+')));
            if operand {
                self.operand(word, code, &mut found);
                if self.takes_script || code {
                    return found;
                }
                continue;
            }
            if word == "--" {
                if let (Some(Some(next)), true) = (rest.next(), self.takes_script) {
                    self.operand(next, code, &mut found);
                }
                return found;
            }
            if let Some(value) = self.attached(word) {
                found.loads.push(value.to_owned());
                continue;
            }
            if self.loads.contains(&word.as_str()) {
                found.loads.extend(rest.next().cloned().flatten());
                continue;
            }
            let cluster = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
            code |= cluster.chars().any(|letter| self.code.contains(letter));
            code |= self.code_words.iter().any(|long| word == long || word.starts_with(&format!("{long}=")));
            if code && !self.shell {
                // What follows is text in a language of its own; `python -m` looks for it where it works.
                found.works_in_cwd |= self.code.contains('m');
                return found;
            }
            let last = cluster.chars().last().map(|letter| format!("-{letter}"));
            if self.valued.contains(&word.as_str()) || last.is_some_and(|last| self.valued.contains(&last.as_str())) {
                rest.next();
            }
        }
        found
    }

    fn operand(&self, word: &str, code: bool, found: &mut Found) {
        match (code && self.shell, self.takes_script) {
            (true, _) => found.shell_text = Some(word.to_owned()),
            (false, true) if word != "-" => found.script = Some(word.to_owned()),
            _ => {}
        }
    }

    /// The value in `--option=value` and `-Ivalue`.
    fn attached<'w>(&self, word: &'w str) -> Option<&'w str> {
        self.loads.iter().find_map(|option| {
            let rest = word.strip_prefix(option).filter(|rest| !rest.is_empty())?;
            if option.starts_with("--") { rest.strip_prefix('=') } else { Some(rest) }
        })
    }
}
