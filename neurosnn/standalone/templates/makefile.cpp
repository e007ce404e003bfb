# make                                       builds ./run
# make CXX=clang++                           another compiler (C++17); g++ 8 also needs LDLIBS=-lstdc++fs
# make CXXFLAGS="-O3 -march=native -ffp-contract=off"   faster on this machine, same results
# make FAST_MATH=-ffast-math                 faster; sums are reordered, so results differ by rounding,
#                                            and in the long run spikes may
# make OPENMP="-Xpreprocessor -fopenmp"      another flag for OpenMP, if the project has threads

CXXFLAGS ?= -O3 -ffp-contract=off
FAST_MATH ?=
OPENMP ?= $openmp

HEADERS := $$(wildcard *.h *.cpp code_objects/* brianlib/* neurosnn/*)

.PHONY: all clean
all: run

run: program.cpp $$(HEADERS) makefile
	$$(CXX) -std=c++17 -w -I. $$(CPPFLAGS) $$(CXXFLAGS) $$(FAST_MATH) $$(OPENMP) $$(LDFLAGS) -o $$@.part program.cpp $$(LDLIBS)
	mv $$@.part $$@

clean:
	rm -f run run.part
