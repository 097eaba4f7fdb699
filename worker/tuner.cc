#include "worker/tuner.h"
