#include "coordinator/select/select.h"
