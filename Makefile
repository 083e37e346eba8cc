# SPDX-License-Identifier: GPL-2.0-or-later
#
# One entry to everything; each target does its own set-up.  See make help.

SHELL := /bin/bash
.DEFAULT_GOAL := all
# scripts end with make, whatever ends it
RUN := setpriv --pdeathsig TERM -- scripts
export SANITIZE COVERAGE JOBS ARGS

TARGETS := all demo check check-unit check-qtest check-doctor check-demo check-stock-faults \
           check-host check-arm64 check-libvirt check-series check-deb check-docs \
           check-readme check-bundle soak fuzz bench coverage mutants modules deb bundle \
           series update clean distclean

.PHONY: $(TARGETS) help
.NOTPARALLEL:

$(TARGETS):
	@$(RUN)/target.sh $@ $(ARGS)

help:
	@scripts/target.sh help
