//! Trees that are larger, deeper and stranger than any of ours.
use super::*;

#[test]
fn much_goes_and_what_is_too_deep_stays() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let root = Directory::open(&real, 0o022).unwrap();
    std::fs::create_dir_all(real.join("many/a/b/c")).unwrap();
    for n in 0..AT_ONCE + 10 {
        std::fs::File::create(real.join(format!("many/a/{n}"))).unwrap();
    }
    std::fs::write(real.join("many/data"), vec![1; 100_000]).unwrap();
    rustix::fs::mknodat(root.fd(), "many/pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert!(root.tree_bytes("many") >= 100_000);
    root.remove_tree("many").unwrap();
    assert!(!real.join("many").exists());
    root.remove_tree("many").unwrap();
    std::fs::create_dir_all(real.join("deep").join("x/".repeat(DEEPEST + 5))).unwrap();
    assert!(root.remove_tree("deep").is_err());
    assert!(real.join("deep").exists());
}

#[test]
fn a_file_with_another_name_gives_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let root = Directory::open(&real, 0o022).unwrap();
    std::fs::create_dir(real.join("run")).unwrap();
    std::fs::write(real.join("file"), vec![1; 1 << 20]).unwrap();
    std::fs::hard_link(real.join("file"), real.join("run/copy")).unwrap();
    assert!(root.tree_bytes("run") < 1 << 20);
    root.remove_tree("run").unwrap();
    assert_eq!(std::fs::metadata(real.join("file")).unwrap().len(), 1 << 20);
}
