# SPDX-License-Identifier: MIT
# Run by cpack when the bundle is written: refuses one that is too large to travel.
foreach(package ${CPACK_PACKAGE_FILES})
  file(SIZE ${package} bytes)
  math(EXPR most "${CPACK_QNUDGE_BUNDLE_MIB} * 1048576")
  if(bytes GREATER most)
    message(FATAL_ERROR "${package}: ${bytes} bytes, ${most} are the most (QNUDGE_BUNDLE_MIB)")
  endif()
  message(STATUS "${package}: ${bytes} bytes of at most ${most}")
endforeach()
