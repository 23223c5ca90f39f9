/* The recorder's inner loops: see mediaproxy/recording/lanes.py. */
#include "hot.h"
