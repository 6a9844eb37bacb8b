#!/bin/sh
# An app that is no Node program.
while :; do date; sleep 5; done
