#include "worker/encoder.h"
