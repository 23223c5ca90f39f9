/* The relay's inner loop: see mediaproxy/media/userspace/relay.py. */
#include "hot.h"
