// Found through the flags of pkg-config.
#include <gigastt.h>
