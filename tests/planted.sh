#!/usr/bin/env bash
# Planted bugs: takes each safeguard away and expects a named test to fail; without the bug the same test must pass.
# Usage: tests/planted.sh [BUG...]    prints a table: bug, test, caught. Exit 0 only if every bug was caught.
# The feature that plants them does not compile into a release (src/host/planted.rs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Bug, and the tests that must notice it (the first one that fails catches it).
readonly bugs=(
  "NoDataSync journal::disk_tests::an_acknowledgement_is_a_write_a_sync_a_head_and_its_sync"
  "NoHeadSync journal::disk_tests::an_acknowledgement_is_a_write_a_sync_a_head_and_its_sync"
  "NoDirSync journal::disk_tests::a_replaced_file_is_as_durable_as_its_directory"
  "SyncFailureIgnored journal::disk_tests::every_call_fails_in_every_way"
  "CrcUnchecked journal::record::tests::one_flipped_bit_anywhere_is_no_record"
  "PrevUnchecked journal::damage_tests::two_runs_spliced"
  "HeadUnchecked journal::damage_tests::a_flip_in_the_last_intent_is_no_torn_tail"
  "LockSkipped journal::lock::tests::of_many_processes_exactly_one_wins"
  "LooseFiles journal::store::tests::links_loose_modes_and_pipes_are_refused"
  "OpenMode journal::store::tests::everything_is_private"
  "MachineUnchecked journal::store::tests::another_machine_or_another_runbook_is_refused"
  "FrozenUnchecked journal::store::tests::another_machine_or_another_runbook_is_refused"
  "StaleResumed journal::ownership::tests::a_pending_run_of_weeks_ago_needs_a_person"
  "RollbackBelieved journal::ownership::tests::a_state_directory_from_a_backup_is_refused"
  "BootLoopUnseen journal::ownership::tests::boots_in_vain_are_counted_and_progress_forgives_them"
  "EffectFirst execute::tests::decisions::a_ruling_to_run_again_holds_once"
  "UnknownIsDone execute::tests::decisions::an_unknown_outcome_stays_unknown"
  "DoubtRepeated execute::tests::decisions::a_ruling_to_run_again_holds_once"
  "OrderUnlocked host::effect::tests::an_order_is_taken_once_and_its_end_is_kept"
  "BootIdUnchecked execute::tests::a_machine_that_never_goes_down_is_never_asked_twice"
  "SecondReboot journal::promise_tests::thousands_of_legal_histories_keep_the_promises"
  "TameOff host::foreign::tests::escape_sequences_become_visible"
  "SecretsKept host::redact::tests::every_form_is_hidden"
  "NamesHidden host::redact::tests::names_are_taken_in_as_they_are"
  "SecretShown host::command::tests::debug_output_hides_values"
  "GroupSurvives host::command::tests::a_deaf_child_of_a_deaf_command_is_ended_too"
  "NameOnly host::pm2::steer::tests::a_name_alone_is_not_the_same_app"
  "PartialSave host::pm2::snapshot::tests::a_shrunken_list_is_refused"
  "EmptySave host::pm2::snapshot::tests::a_shrunken_list_is_refused"
  "LoadingReady host::redis::tests::ready::recorded_loads_are_refused"
  "KeysIgnored host::redis::tests::ready::an_empty_or_shrunken_data_set"
  "ClockBack execute::tests::decisions::a_clock_that_was_set_back_opens_no_window"
  "FrameUnbounded host::pm2::amp::tests::announced_sizes_are_refused_before_they_are_read"
)

# The path of the test program is in what cargo says; nothing is run by cargo itself.
program=$(cargo test --locked --lib --features planted-bugs --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || { echo "the test program could not be built: cargo test --lib --features planted-bugs --no-run"; exit 1; }

# Runs one test; 0 passed, 1 failed, 2 is no such test.
run_test() {
  local out code=0
  out=$(RUNBOOK_PLANTED=$1 RUST_BACKTRACE=0 timeout 120 "$program" --exact "$2" --test-threads=1 2>&1) || code=$?
  grep -q '^running 1 test' <<<"$out" || return 2
  [ "$code" -eq 0 ]
}

caught=0 missed=0
printf '%-20s %-90s %s\n' bug test caught
for line in "${bugs[@]}"; do
  read -r bug test <<<"$line"
  if [ $# -gt 0 ] && [[ " $* " != *" $bug "* ]]; then continue; fi
  code=0
  run_test '' "$test" || code=$?
  if [ "$code" -eq 0 ]; then
    run_test "$bug" "$test" && verdict='NO: it passes with the bug' || verdict=yes
  else
    verdict="NO: without the bug it $([ "$code" -eq 2 ] && echo 'is not there' || echo fails)"
  fi
  if [ "$verdict" = yes ]; then caught=$((caught + 1)); else missed=$((missed + 1)); fi
  printf '%-20s %-90s %s\n' "$bug" "$test" "$verdict"
done
printf '\n%s planted bugs: %s caught, %s missed\n' "$((caught + missed))" "$caught" "$missed"
[ "$missed" -eq 0 ] && [ "$caught" -gt 0 ]
