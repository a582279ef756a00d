# SPDX-License-Identifier: MIT
# Writes what report.html is made of into a source file: the page's style and script, and the plotting library as the
# system's package has it (Debian and Ubuntu: libjs-chart.js). Without the library pages have tables only.
find_file(QNUDGE_CHART_JS NAMES chart.min.js Chart.min.js chart.umd.min.js chart.umd.js
          PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_DEFAULT_PATH
          DOC "Chart.js 3 or 4, minified, as one script")

set(library "")
if(NOT QNUDGE_CHART_JS)
  message(STATUS "Plots in report.html: OFF, tables only; libjs-chart.js brings them")
else()
  message(STATUS "Plots in report.html: ${QNUDGE_CHART_JS}")
  file(READ ${QNUDGE_CHART_JS} library)
  if(library MATCHES "</script|\\)qnudge\"")
    message(FATAL_ERROR "${QNUDGE_CHART_JS}: cannot stand inside a page; choose another -DQNUDGE_CHART_JS=FILE")
  endif()
endif()

set(folder ${CMAKE_CURRENT_SOURCE_DIR}/report)
set(assets "// Written by host/report/embed.cmake.\n#include \"page_assets.hpp\"\n\nnamespace qnudge {\n")
string(APPEND assets "const std::string_view kChartLibrary = R\"qnudge(${library})qnudge\";\n")
foreach(asset kChartLicence:chart_licence.txt kPageScript:page.js kPageStyle:page.css)
  string(REPLACE ":" ";" pair ${asset})
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ ${folder}/${file} content)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${file})
  string(APPEND assets "const std::string_view ${name} = R\"qnudge(${content})qnudge\";\n")
endforeach()
string(APPEND assets "}  // namespace qnudge\n")
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/page_assets.cpp CONTENT "@assets@" @ONLY)

target_sources(qnudge_report PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/page_assets.cpp)
target_include_directories(qnudge_report PRIVATE ${folder})
