# make                                       builds ./main, then: ./run
# make -j4 CXX=clang++                       another compiler, four files at a time
# make CXXFLAGS="-O3 -march=native"          other flags; -ffast-math changes the results

CXXFLAGS ?= -O3 -ffp-contract=off
STD ?= $std

SOURCES := $$(wildcard *.cpp code_objects/*.cpp brianlib/*.cpp)
HEADERS := $$(wildcard *.h code_objects/*.h brianlib/*.h)
OBJECTS := $$(SOURCES:.cpp=.o)

.PHONY: all clean
all: main

main: $$(OBJECTS)
	$$(CXX) $$(LDFLAGS) -o $$@ $$(OBJECTS) $$(LDLIBS)

%.o: %.cpp $$(HEADERS) makefile
	$$(CXX) -std=$$(STD) -w -I. $$(CPPFLAGS) $$(CXXFLAGS) -c -o $$@ $$<

clean:
	rm -f $$(OBJECTS) main
