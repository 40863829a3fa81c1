# make run    builds everything and runs a container in a microVM
# make test   builds everything and runs all tests
# The steps install what they need (as root) or print the command that does.
SHELL := /bin/bash
PREFIX ?= /usr/local
# The functions of a start lie side by side (scripts/function-order): it halves the memory that a VMM's code takes.
STATIC := swift build -c release -Xswiftc -static-executable -Xswiftc -use-ld=lld \
    -Xlinker --symbol-ordering-file=$(CURDIR)/scripts/function-order.list -Xlinker --no-warn-symbol-ordering
PROGRAMS := swiftlet swiftlet-vmm swiftlet-files
RELEASE := $(STATIC) --scratch-path .build/static
# The registry client takes TLS from the machine's libcurl, whose security fixes it must get.
DYNAMIC := swift build -c release -Xswiftc -static-stdlib --scratch-path .build/dynamic

.PHONY: all build unjailed executables configuration filters kernel initrd scratch run test check bench fuzz soak install clean

all: build

build: executables configuration filters kernel initrd scratch

# Fully static: one file each, nothing to load before main. But the registry client needs libcurl and the C library.
executables:
	@echo '== swiftlet, swiftlet-vmm, swiftlet-files and swiftlet-registry'
	@scripts/require libssl-dev libcurl4-openssl-dev libseccomp-dev libcap-dev binutils
	@# SwiftPM doesn't know that the programs depend on the list.
	@for name in $(PROGRAMS); do \
	    [ .build/static/release/$$name -nt scripts/function-order.list ] || rm -f .build/static/release/$$name; done
	@for name in $(PROGRAMS); do $(RELEASE) --product $$name || exit 1; done
	@$(DYNAMIC) --product swiftlet-registry
	@mkdir -p build/bin build/share/swiftlet
	@for name in $(PROGRAMS); do \
	    strip -o build/bin/$$name.new .build/static/release/$$name && mv build/bin/$$name.new build/bin/$$name || exit 1; done
	@strip -o build/bin/swiftlet-registry.new .build/dynamic/release/swiftlet-registry && mv build/bin/swiftlet-registry.new build/bin/swiftlet-registry

# A package of its own: nothing else needs a TOML parser.
configuration:
	@echo '== swiftlet-config'
	@swift build -c release -Xswiftc -static-executable --package-path configuration --scratch-path .build/configuration --product swiftlet-config 2>&1 | grep -v 'in statically linked applications requires\|is dangerous, better use'; test $${PIPESTATUS[0]} = 0
	@mkdir -p build/bin
	@strip -o build/bin/swiftlet-config.new .build/configuration/release/swiftlet-config && mv build/bin/swiftlet-config.new build/bin/swiftlet-config

# Compiled once, by libseccomp, so that a start only reads them.
filters:
	@mkdir -p build/share/swiftlet
	@swift build -c release -Xswiftc -static-stdlib --scratch-path .build/dynamic --product swiftlet-filters
	@.build/dynamic/release/swiftlet-filters build/share/swiftlet/filters
	@swift build -c release -Xswiftc -static-stdlib --scratch-path .build/dynamic --product seccomp-profiles
	@.build/dynamic/release/seccomp-profiles build/share/swiftlet/seccomp.profiles

kernel:
	@echo '== guest kernel'
	@mkdir -p build/share/swiftlet
	@kernel-config/build --output build/share/swiftlet/vmlinux

initrd:
	@echo "== guest agents"
	@mkdir -p build/share/swiftlet
	@guest/build build/share/swiftlet

scratch:
	@mkdir -p build/share/swiftlet
	@scripts/disk-template build/share/swiftlet

run: build
	@scripts/demo-image build/demo
	@scripts/with-kvm -- build/bin/swiftlet run build/demo

test: build
	@scripts/test

check:
	@scripts/check

bench: build unjailed
	@Benchmarks/run
	@Benchmarks/pull
	@Benchmarks/engines

# A second installation for benchmarks alone, whose machines have no wall but KVM's.
unjailed:
	@echo '== the same programs without the jail'
	@mkdir -p build/bench/unjailed
	@for name in $(PROGRAMS); do \
	    $(STATIC) -Xswiftc -DWITHOUT_JAIL --scratch-path .build/unjailed --product $$name && \
	    strip -o build/bench/unjailed/$$name .build/unjailed/release/$$name || exit 1; done

fuzz: SECONDS ?= 600
fuzz:
	@scripts/fuzz $(SECONDS)

# N starts and ends, eight at a time, killed at any instant (a hundred of them are part of the tests).
soak: N ?= 1000
soak: build
	@SWIFTLET_SOAK=$(N) scripts/test --filter 'VMTests.VirtualMachines.Soak'

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/swiftlet
	install -m 755 $(PROGRAMS:%=build/bin/%) build/bin/swiftlet-registry build/bin/swiftlet-config $(DESTDIR)$(PREFIX)/bin
	install -m 644 build/share/swiftlet/* $(DESTDIR)$(PREFIX)/share/swiftlet

clean:
	rm -rf build .build guest/.build
