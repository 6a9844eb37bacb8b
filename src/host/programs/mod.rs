//! What root would execute for the words of a command: the program, what its first line names, the script that it is given,
//! the directory that it works in. Root executes only what nobody else can change ([`root_owned`]), so each is judged, once
//! for the plan and once more right before it is started. Between that and the start lies no gap that others could
//! use: that is what the whole-path rule is for.
//!
//! A name without a slash is looked up in the system's directories; one that others may write is passed over, and stands in
//! no PATH that root's commands are given. Where a command runs as another user, only whether it is there is said.
//!
//! What is seen: `#!` lines with `env` in them, also of an interpreter that is a script; scripts, modules and library
//! directories on the command line of the usual interpreters; what stands behind `nice`, `timeout` and their like; simple commands
//! in the text of `sh -c`. What is not: what a script calls, what a program reads as its settings, words that a shell makes
//! of variables and patterns. The runbook's author and root's own scripts answer for those.

mod interpreters;
mod shell;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::passwd;
use super::root_owned::{self, NotRoots};

/// The system's directories of programs; the caller's PATH is never used.
pub(super) const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// An interpreter may be a script of another one; the kernel gives up sooner.
const DEPTH: usize = 6;
/// What the kernel reads of a first line (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;

/// A command that is going to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramAsked {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Who runs it; `None`: whoever runs this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where; `None`: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
}

/// What was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgramSeen {
    /// Why root must not run it; with [`NotRoots::missing`] set, it is merely not there.
    pub refused: Option<NotRoots>,
    /// System directories of programs that others may write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<NotRoots>,
}

/// Directories in which a name is looked up, and those that are not searched.
pub(super) struct SearchPath {
    pub(super) dirs: Vec<PathBuf>,
    pub(super) passed_over: Vec<NotRoots>,
}

impl SearchPath {
    /// For root, and for whoever stands in its place.
    pub(super) fn of_root() -> Self {
        let (mut dirs, mut passed_over) = (Vec::new(), Vec::new());
        for dir in SAFE_PATH.split(':').map(PathBuf::from) {
            match root_owned::judge(&dir) {
                Err(why) if !why.missing => passed_over.push(why),
                _ => dirs.push(dir),
            }
        }
        Self { dirs, passed_over }
    }

    /// For everybody else: as it is.
    pub(super) fn of_a_user() -> Self {
        Self { dirs: SAFE_PATH.split(':').map(PathBuf::from).collect(), passed_over: Vec::new() }
    }

    /// As a PATH.
    pub(super) fn text(&self) -> String {
        self.dirs.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(":")
    }

    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }
}

/// This program, whatever has become of its file since it was started: the kernel leads to the very image that is at work.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Whether what this user runs is run by root, or by the caller in root's place.
pub(super) fn is_ours(user: Option<&passwd::User>) -> bool {
    user.is_none_or(|user| user.uid == 0 || user.uid == rustix::process::geteuid().as_raw())
}

/// Whose will a command carries out that runs as no other user: in messages.
#[must_use]
pub fn ourselves() -> &'static str {
    if rustix::process::geteuid().is_root() { "root" } else { "this user" }
}

/// Looks at what a command would execute. Blocks on the file system; starts nothing.
#[must_use]
pub fn look(asked: &ProgramAsked) -> ProgramSeen {
    let user = asked.user.as_deref().map(passwd::user).transpose();
    let Ok(user) = user else { return ProgramSeen::default() };
    let ours = is_ours(user.as_ref());
    let path = if ours { SearchPath::of_root() } else { SearchPath::of_a_user() };
    let name = asked.argv.first().map_or("", String::as_str);
    let program = if name.contains('/') { Some(PathBuf::from(name)) } else { path.find(name) };
    let refused = match program {
        None => Some(missing(Path::new(name), format!("is in none of {}", path.text()))),
        Some(program) if ours => judge(&asked.argv, &program, asked.cwd.as_deref(), &path).err(),
        Some(program) if program.is_file() => None,
        Some(program) => Some(missing(&program, "is not there, or not a file".to_owned())),
    };
    ProgramSeen { refused, passed_over: path.passed_over }
}

fn missing(path: &Path, why: String) -> NotRoots {
    NotRoots { path: path.to_owned(), why, cure: "install it or write its path".to_owned(), missing: true }
}

/// Judges what root would execute; `program` is where the first word was found.
///
/// # Errors
/// The first thing that others may change.
pub(super) fn judge(argv: &[String], program: &Path, cwd: Option<&Path>, path: &SearchPath) -> Result<(), NotRoots> {
    let cwd = cwd.unwrap_or(Path::new("/"));
    root_owned::judge(cwd)?;
    let words: Vec<Word> = argv.iter().cloned().map(Some).collect();
    Judge { path }.program(program, &words, Some(cwd), 0)
}

/// One word; `None` where it is known only when it is run.
type Word = Option<String>;

struct Judge<'a> {
    path: &'a SearchPath,
}

impl Judge<'_> {
    /// A file that is executed with these words, itself the first.
    fn program(&self, file: &Path, words: &[Word], cwd: Option<&Path>, depth: usize) -> Result<(), NotRoots> {
        let owned = root_owned::judge(file)?.resolved;
        if depth > DEPTH {
            let why = "is run by interpreter upon interpreter".to_owned();
            return Err(NotRoots { path: owned, why, cure: "name the program itself".to_owned(), missing: false });
        }
        self.first_line(&owned, depth)?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let called = words.first().cloned().flatten().map_or_else(|| name(file), |word| name(Path::new(&word)));
        match interpreters::known(&called).or_else(|| interpreters::known(&name(&owned))) {
            Some(known) => self.by_name(&known, words.get(1..).unwrap_or_default(), cwd, depth + 1),
            None => Ok(()),
        }
    }

    /// What the first line of a script names. A file that cannot be read is the kernel's to refuse.
    fn first_line(&self, script: &Path, depth: usize) -> Result<(), NotRoots> {
        let Ok(Some(line)) = first_line(script) else { return Ok(()) };
        let line = line.trim_matches([' ', '\t']);
        let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let mut words = vec![Some(interpreter.to_owned())];
        // All of the rest is one word, which `env -S` takes apart again.
        let argument = argument.trim();
        match argument.strip_prefix("-S").or_else(|| argument.strip_prefix("--split-string=")) {
            Some(rest) => words.extend(rest.split_whitespace().map(|word| Some(word.to_owned()))),
            None if argument.is_empty() => {}
            None => words.push(Some(argument.to_owned())),
        }
        let interpreter = Path::new(interpreter);
        if !interpreter.is_absolute() {
            let why = format!("begins with #!{}, which is another file in each directory", interpreter.display());
            let cure = "write the interpreter's path from / into its first line".to_owned();
            return Err(NotRoots { path: script.to_owned(), why, cure, missing: false });
        }
        // The script itself follows; it has been judged, and its directory with it.
        self.program(interpreter, &words, None, depth + 1)
    }

    /// A command inside of another one: it counts if it is there now.
    fn inner(&self, words: &[Word], cwd: Option<&Path>, depth: usize) -> Result<(), NotRoots> {
        let words = self.assignments(words)?;
        let Some(Some(name)) = words.first() else { return Ok(()) };
        let file = match (name.contains('/'), cwd) {
            (false, _) => self.path.find(name),
            (true, Some(cwd)) => Some(cwd.join(name)),
            (true, None) => Some(PathBuf::from(name)).filter(|path| path.is_absolute()),
        };
        match file.filter(|file| file.is_file()) {
            Some(file) => self.program(&file, words, cwd, depth),
            None => Ok(()),
        }
    }

    /// `PATH=… NAME=…` in front of a command: directories from which code is loaded. What is left is the command.
    fn assignments<'w>(&self, words: &'w [Word]) -> Result<&'w [Word], NotRoots> {
        let mut rest = words;
        while let Some(Some(word)) = rest.first()
            && let Some((name, value)) = word.split_once('=').filter(|(name, _)| interpreters::is_variable(name))
        {
            if interpreters::loads_code(name) {
                value.split(':').try_for_each(|part| self.loaded(Path::new(part)))?;
            }
            rest = &rest[1..];
        }
        Ok(rest)
    }

    /// Something from which code is read, if it is there.
    fn loaded(&self, path: &Path) -> Result<(), NotRoots> {
        match root_owned::judge(path) {
            _ if !path.is_absolute() => Ok(()),
            Err(why) if why.missing => Ok(()),
            judged => judged.map(drop),
        }
    }

    fn by_name(
        &self,
        known: &interpreters::Known,
        words: &[Word],
        cwd: Option<&Path>,
        depth: usize,
    ) -> Result<(), NotRoots> {
        let at = |path: &str| cwd.map_or_else(|| PathBuf::from(path), |cwd| cwd.join(path));
        let found = known.read(words);
        for part in &found.loads {
            self.loaded(&at(part))?;
        }
        if found.works_in_cwd
            && let Some(cwd) = cwd
        {
            self.loaded(cwd)?;
        }
        if let Some(script) = &found.script {
            self.loaded(&at(script))?;
        }
        if let Some(text) = &found.shell_text {
            return self.shell_text(text, cwd, depth);
        }
        if known.wraps {
            return self.wrapped(words, cwd, depth);
        }
        Ok(())
    }

    /// The simple commands of a shell's text, as far as they are words.
    fn shell_text(&self, text: &str, cwd: Option<&Path>, depth: usize) -> Result<(), NotRoots> {
        let mut cwd = cwd.map(Path::to_owned);
        for words in shell::commands(text) {
            match words.first().and_then(Option::as_deref) {
                Some("cd") => {
                    let to = words.get(1).cloned().flatten();
                    cwd = to.and_then(|to| Some(cwd.take()?.join(to)));
                }
                Some("exec" | "command" | "builtin" | "." | "source") => {
                    self.inner(&words[1..], cwd.as_deref(), depth)?;
                }
                _ => self.inner(&words, cwd.as_deref(), depth)?,
            }
        }
        Ok(())
    }

    /// The command behind `nice -n 5` or `timeout 60`: the first word that is a program.
    fn wrapped(&self, words: &[Word], cwd: Option<&Path>, depth: usize) -> Result<(), NotRoots> {
        let mut rest = words;
        loop {
            rest = self.assignments(rest)?;
            let Some(Some(word)) = rest.first() else { return Ok(()) };
            // `env -S`: the rest of the command in one word; `env -C`: where it is run.
            if let Some((text, behind)) = option(rest, "-S", "--split-string") {
                let split = text.split_whitespace().map(|word| Some(word.to_owned()));
                let words: Vec<Word> = split.chain(behind.iter().cloned()).collect();
                return self.wrapped(&words, cwd, depth);
            }
            if let Some((dir, behind)) = option(rest, "-C", "--chdir").or_else(|| option(rest, "-D", "--chdir")) {
                let dir = cwd.unwrap_or(Path::new("/")).join(dir);
                self.loaded(&dir)?;
                return self.wrapped(behind, Some(&dir), depth);
            }
            let file = match word.contains('/') {
                true => Some(cwd.unwrap_or(Path::new("/")).join(word)),
                false => self.path.find(word),
            };
            if !word.starts_with('-') && file.is_some_and(|file| is_executable(&file)) {
                return self.inner(rest, cwd, depth);
            }
            rest = &rest[1..];
        }
    }
}

/// An option with its value, in one word or in two, and what stands behind it.
fn option<'w>(words: &'w [Word], short: &str, long: &str) -> Option<(&'w str, &'w [Word])> {
    let (word, behind) = words.split_first()?;
    let word = word.as_deref()?;
    if word == short || word == long {
        let (value, behind) = behind.split_first()?;
        return Some((value.as_deref()?, behind));
    }
    let value = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
    let value = value.or_else(|| word.strip_prefix(short).filter(|_| !word.starts_with("--")))?;
    Some((value, behind))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0)
}

/// The text behind `#!`, if there is such a line.
fn first_line(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    let mut head = Vec::new();
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC).bits().cast_signed();
    let mut options = std::fs::OpenOptions::new();
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags).open(path)?;
    if file.metadata()?.is_file() {
        file.take(FIRST_LINE as u64).read_to_end(&mut head)?;
    }
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let end = line.iter().position(|byte| *byte == b'\n' || *byte == 0).unwrap_or(line.len());
    Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()))
}

#[cfg(test)]
mod tests;
